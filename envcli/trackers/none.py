"""Nobody else is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from envcli.trackers.tracker import Tracker

__all__ = ["NoneTracker"]


class NoneTracker(Tracker):
    """Forgets everything: the run folder says it all."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See :class:`Tracker`."""

    def episodes(self, ended: Iterable[tuple[int, float, int]]) -> None:
        """See :class:`Tracker`. A million episodes need not be gone through."""

"""Animated GIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from envcli.films.animation import Animation

__all__ = ["GifFilm"]

_FASTEST = 50.0  # frames a second: players slow anything under two hundredths down to ten


class GifFilm(Animation):
    """``video.gif``, at most 50 frames a second: frames of a faster film are left out, so that it keeps its pace.

    They are left out evenly, and never the first or the last. GIF counts hundredths of a second: where ``fps`` does not
    divide 100, frames are shown a little shorter and longer in turn.
    """

    name: ClassVar[str] = "video.gif"
    tick: ClassVar[int] = 10
    ticks: ClassVar[int] = 2**16 - 1

    def _shown(self) -> Sequence[int]:
        """See :class:`Animation`."""
        count = len(self._frames)
        if self.fps <= _FASTEST:
            return range(count)
        most = max(2, int(count * _FASTEST / self.fps))
        return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})

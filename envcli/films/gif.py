"""Animated GIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from envcli.films.animation import Animation

__all__ = ["GifFilm"]

_FASTEST = 50.0  # frames per second: players show a frame under 0.02 s for 0.1 s


class GifFilm(Animation):
    """``video.gif``, at most 50 frames per second; of a faster film, frames are left out so that it keeps its speed.

    They are left out evenly, but never the first or the last. GIF counts in hundredths of a second: if ``fps`` does not
    divide 100, some frames are shown a little longer than others.
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

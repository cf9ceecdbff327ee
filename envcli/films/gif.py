"""Animated GIF."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from envcli.films.animation import Animation

__all__ = ["GifFilm"]

_FASTEST = 50.0  # frames a second: GIF counts hundredths of a second, and players slow anything under two down to ten


class GifFilm(Animation):
    """``video.gif``, at most 50 frames a second: frames of a faster film are left out, so that it keeps its pace."""

    name: ClassVar[str] = "video.gif"

    def finish(self) -> Path:
        """See :class:`Film`."""
        if self.fps > _FASTEST:
            stride = -(-self.fps // _FASTEST)
            self._frames = self._frames[:: int(stride)]
            self.fps /= stride
        return super().finish()

"""Animated WebP."""

from __future__ import annotations

from typing import Any, ClassVar

from envcli.films.animation import Animation

__all__ = ["WebpFilm"]


class WebpFilm(Animation):
    """``video.webp``: true colours at a fraction of a GIF's size."""

    name: ClassVar[str] = "video.webp"
    tick: ClassVar[int] = 1
    ticks: ClassVar[int] = 2**24 - 1
    options: ClassVar[dict[str, Any]] = {"quality": 85, "method": 4}

"""What the formats that Pillow writes have in common."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image as Pillow

from envcli.films.film import Film
from envcli.frames.image import Image

__all__ = ["Animation"]


class Animation(Film, ABC):
    """All frames in one file that plays by itself, again and again. They are held in memory until the end."""

    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, folder: Path, fps: float) -> None:
        super().__init__(folder, fps)
        self._frames: list[Pillow.Image] = []

    def add(self, image: Image) -> None:
        """See :class:`Film`."""
        self._frames.append(Pillow.fromarray(image))

    def finish(self) -> Path:
        """See :class:`Film`."""
        path = self.folder / self.name
        first, *others = self._frames
        first.save(path, save_all=True, append_images=others, duration=1000 / self.fps, loop=0, **self.options)
        return path

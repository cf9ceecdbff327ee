"""A PNG for each frame."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as Pillow

from envcli.films.film import Film
from envcli.frames.image import Image

__all__ = ["PngFilm"]


class PngFilm(Film):
    """``frames/000000.png`` and so on, lossless."""

    def __init__(self, folder: Path, fps: float) -> None:
        super().__init__(folder / "frames", fps)
        self.folder.mkdir()
        self._count = 0

    def add(self, image: Image) -> None:
        """See :class:`Film`."""
        Pillow.fromarray(image).save(self.folder / f"{self._count:06}.png")
        self._count += 1

    def finish(self) -> Path:
        """See :class:`Film`."""
        return self.folder

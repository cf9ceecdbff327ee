"""A film on one page."""

from __future__ import annotations

from dataclasses import replace

from envcli.frames.image import Image, captioned, resized, tiled, zoomed
from envcli.frames.scene import Frame
from envcli.frames.spread import Spread

__all__ = ["ContactSheet"]

_CELLS = 16
_WIDTH = 240  # pixels: four columns fit on a screen


class ContactSheet:
    """Collects frames evenly spread over a film of unknown length.

    The first frame, the reset, is always there, the others follow at equal distances, and the last is added.
    """

    def __init__(self) -> None:
        self._small = Spread[tuple[int, Frame]](8 * _CELLS)  # so many that a sheet of equal distances is a full one
        self._large = Spread[Image](8)  # for the poster
        self._last: Frame | None = None
        self._count = 0

    def add(self, frame: Frame) -> None:
        """Look at the next frame."""
        if self._small.wants():
            self._small.kept.append((self._count, _small(frame)))
        if self._large.wants():
            self._large.kept.append(frame.image)
        self._last = frame
        self._count += 1

    def drawn(self) -> Image:
        """The sheet: up to 16 frames in order, step, reward and return under each."""
        chosen = self._chosen()
        several = len({frame.episode for frame in chosen}) > 1
        cells = [
            captioned(frame.image, f"{frame.episode + 1}: {frame.caption}" if several else frame.caption)
            for frame in chosen
        ]
        return tiled(cells, columns=min(4, len(cells)), gap=8)

    def poster(self) -> Image:
        """One frame for the whole: the one in the middle."""
        return self._large.kept[len(self._large.kept) // 2]

    def _chosen(self) -> list[Frame]:
        places, chosen = zip(*self._small.few(_CELLS), strict=True)
        if self._last is None or places[-1] == self._count - 1:
            return [*chosen]
        return [*chosen[: _CELLS - 1], _small(self._last)]


def _small(frame: Frame) -> Frame:
    image = zoomed(frame.image)
    return replace(frame, image=resized(image, round(image.shape[0] * _WIDTH / image.shape[1]), _WIDTH))

"""A film on one page."""

from __future__ import annotations

from envcli.frames.image import Image, captioned, resized, tiled, zoomed
from envcli.frames.scene import Frame

__all__ = ["ContactSheet"]

_CELLS = 16
_WIDTH = 240  # pixels: four columns fit on a screen


class ContactSheet:
    """Collects frames evenly spread over a film of unknown length.

    Every frame is kept at first; whenever there are twice as many as fit, every second one goes, and from then on only
    every second one is taken. So the first frame, the reset, is always there, and the last is added.
    """

    def __init__(self) -> None:
        self._kept: list[Frame] = []
        self._stride, self._seen = 1, 0
        self._last: Frame | None = None

    def add(self, frame: Frame) -> None:
        """Look at the next frame."""
        if self._seen % self._stride == 0:
            self._kept.append(frame)
            if len(self._kept) == 2 * _CELLS:
                self._kept = self._kept[::2]
                self._stride *= 2
        self._seen += 1
        self._last = frame

    def drawn(self) -> Image:
        """The sheet: up to 16 frames in order, step, reward and return under each."""
        chosen = self._chosen()
        several = len({frame.episode for frame in chosen}) > 1
        cells = []
        for frame in chosen:
            image = zoomed(frame.image)
            image = resized(image, round(image.shape[0] * _WIDTH / image.shape[1]), _WIDTH)
            cells.append(captioned(image, f"{frame.episode + 1}: {frame.caption}" if several else frame.caption))
        return tiled(cells, columns=min(4, len(cells)), gap=8)

    def poster(self) -> Image:
        """One frame for the whole: the one in the middle."""
        return self._kept[len(self._kept) // 2].image

    def _chosen(self) -> list[Frame]:
        kept = self._kept if self._kept[-1] is self._last or self._last is None else [*self._kept, self._last]
        if len(kept) <= _CELLS:
            return kept
        return [kept[round(i * (len(kept) - 1) / (_CELLS - 1))] for i in range(_CELLS)]

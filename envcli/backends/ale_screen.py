"""How the screen of an Atari gets into a row."""

from __future__ import annotations

import numpy as np

from envcli.backends.ale_console import Console, Reader
from envcli.memory.buffer import NO_GRAY, Array, Recolour

__all__ = ["Pooled", "Recoloured", "cached"]


def cached(read: Reader, shape: tuple[int, ...]) -> Reader:
    """``read`` by way of a frame that stays in the processor's cache.

    ALE writes byte by byte: 16 us for a frame that is there, and 57 for one that is not, where the copy takes 20.
    """
    frame = np.zeros(shape, dtype=np.uint8)

    def read_row(row: Array) -> None:
        read(frame)
        row[...] = frame

    return read_row


class Pooled:
    """The larger value of each pixel of the last two frames of a step, as ``read`` gives them, ``shape``.

    A game that ends before the second to last frame, or is only just begun, shows its last frame alone.
    """

    def __init__(self, console: Console, read: Reader, shape: tuple[int, ...]) -> None:
        self._console, self._read = console, read
        self._before = np.zeros(shape, dtype=np.uint8)

    def look_before(self) -> None:
        """Keep what is on the screen, which is the second to last frame."""
        self._read(self._before)

    def read(self, row: Array) -> None:
        """Fill ``row``, ``shape``, with the last frame."""
        self._read(row)
        if self._console.is_pooling:
            np.maximum(row, self._before, out=row)


class Recoloured:
    """The screen in other colours, looked up by the numbers that a game has for its own; pooled as by :class:`Pooled`.

    ALE gives a frame of numbers in 1 us, and to look up what becomes of each takes 12. The frame in RGB takes 16, and
    computing with it 26 more. Which number is which colour is not the same in all games, and ALE does not tell: it is
    learned from the frames that show a number for the first time.
    """

    def __init__(self, console: Console, recolour: Recolour) -> None:
        self._console, self.recolour = console, recolour
        height, width = console.ale.getScreenDims()
        self._now, self._before = np.zeros((2, height, width), dtype=np.uint8)
        self._colours = np.zeros((256, 3), dtype=np.uint8)
        self._is_known = np.zeros(256, dtype=bool)
        self._table = bytes([NO_GRAY]) * 256
        self._pairs: Array | None = None  # [256, 256]: of the larger values of two colours

    def look_before(self) -> None:
        """Keep what is on the screen, which is the second to last frame."""
        self._look(self._before)

    def read(self, row: Array) -> None:
        """Fill ``row``, ``[height, width, 1]``, with the last frame."""
        frame = np.frombuffer(self._look(self._now), dtype=np.uint8)
        if self._console.is_pooling:
            now, before = self._now.reshape(-1), self._before.reshape(-1)
            changed = np.flatnonzero(now != before)
            frame = frame.copy()
            frame[changed] = self._of_pairs()[now[changed], before[changed]]
        row[...] = frame.reshape(row.shape)

    def _look(self, numbers: Array) -> bytes:
        """What is on the screen, recoloured, ``height * width`` of them; the numbers of its colours in ``numbers``."""
        self._console.ale.getScreen(numbers)
        frame = numbers.tobytes().translate(self._table)
        if NO_GRAY in frame:
            self._learn(numbers)
            frame = numbers.tobytes().translate(self._table)
        return frame

    def _learn(self, numbers: Array) -> None:
        """The colours of the frame that is on the screen, whose numbers these are."""
        frame = np.zeros((*numbers.shape, 3), dtype=np.uint8)
        self._console.ale.getScreenRGB(frame)
        self._colours[numbers] = frame
        self._is_known[numbers] = True
        self._table = np.where(self._is_known, self.recolour(self._colours), NO_GRAY).astype(np.uint8).tobytes()
        self._pairs = None

    def _of_pairs(self) -> Array:
        if self._pairs is None:
            self._pairs = self.recolour(np.maximum(self._colours[:, None], self._colours))
        return self._pairs

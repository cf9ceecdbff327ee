"""A film in the terminal."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from envcli.frames.image import Image, resized
from envcli.frames.scene import Frame

__all__ = ["Preview", "blocks"]


def blocks(image: Image, columns: int) -> str:
    """``image`` as lines of coloured half blocks, ``columns`` wide: each character is two pixels, one above the other.

    >>> import numpy as np
    >>> blocks(np.zeros((2, 1, 3), dtype=np.uint8), 1)
    '\\x1b[38;2;0;0;0;48;2;0;0;0m▀\\x1b[0m'
    """
    rows = max(2, round(image.shape[0] * columns / image.shape[1] / 2) * 2)
    small = resized(image, rows, columns)
    lines = []
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        cells = (
            f"\x1b[38;2;{u[0]};{u[1]};{u[2]};48;2;{d[0]};{d[1]};{d[2]}m▀" for u, d in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)


class Preview:
    """Draws each frame over the last one, no faster than it would be played.

    Args:
        stream: a terminal that knows 24-bit colours.
        fps: frames a second.
    """

    def __init__(self, stream: TextIO, fps: float) -> None:
        self._stream = stream
        self._pause = 1 / fps
        self._next = time.perf_counter()
        self._lines = 0

    def show(self, frame: Frame) -> None:
        """Draw ``frame``."""
        size = shutil.get_terminal_size()
        high, wide = frame.image.shape[:2]
        columns = max(1, min(size.columns, 2 * (size.lines - 3) * wide // high, wide))
        picture = blocks(frame.image, columns)
        back = f"\x1b[{self._lines}F" if self._lines else ""
        self._stream.write(f"{back}{picture}\n\x1b[K{frame.caption}\n")
        self._stream.flush()
        self._lines = picture.count("\n") + 2
        self._next = max(self._next + self._pause, time.perf_counter())
        time.sleep(max(0.0, self._next - time.perf_counter()))

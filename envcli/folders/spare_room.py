"""Room on a disk for what is still to be written when it is full."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

__all__ = ["SpareRoom"]


class SpareRoom:
    """``BYTES`` of a disk, from ``take`` to ``give_back``, for the files that tell what the large ones there hold.

    Whatever else fills the disk meanwhile cannot have them. They are a file without a name, which ends with this
    process if not before.
    """

    BYTES = 1 << 17  # some files of a few KiB each

    def __init__(self) -> None:
        self._close: Callable[[], object] | None = None

    def take(self, folder: Path) -> None:
        """Reserve it on the disk that holds ``folder``.

        Raises:
            OSError: there is no such room.
        """
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, self.BYTES)
            self._close = weakref.finalize(self, os.close, os.dup(file.fileno()))

    def give_back(self) -> None:
        """Let it be written to. Safe to call before ``take``, and twice."""
        if self._close is not None:
            self._close()

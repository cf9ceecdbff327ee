"""Room on a disk for what is still to be written when it is full."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

__all__ = ["SpareRoom"]


class SpareRoom:
    """``BYTES`` of the disk that holds ``folder``, kept for the files that tell what the large ones there hold.

    Whatever else fills the disk meanwhile cannot have them. They are a file without a name, which ends with this
    process if not before.

    Raises:
        OSError: there is no such room.
    """

    BYTES = 1 << 17  # some files of a few KiB each

    def __init__(self, folder: Path) -> None:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, self.BYTES)
            self._close = weakref.finalize(self, os.close, os.dup(file.fileno()))

    def give_back(self) -> None:
        """Let it be written to. Safe to call twice."""
        self._close()

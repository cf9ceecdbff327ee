"""One writer a folder: a lock that goes with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from envcli.errors import StoreError

__all__ = ["FolderLock"]


class FolderLock:
    """Held from its making to ``release``, or to the end of the process, however that ends.

    It is the kernel's lock of the folder itself (``flock``): nothing is left on disk. Where the file system has no
    such locks, it holds nobody off.

    Args:
        folder: it exists.

    Raises:
        StoreError: somebody holds it already.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise StoreError(f"{folder}: another process is writing here. Wait until it ends, or end it") from None
            return
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others write. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough: a worker made by fork has it open too
            os.close(descriptor)

    @staticmethod
    def held(folder: Path) -> bool:
        """Is somebody writing into ``folder`` now?"""
        try:
            FolderLock(folder).release()
        except StoreError:
            return True
        return False

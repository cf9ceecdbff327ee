"""One writer for each folder: a lock that ends with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from envcli.errors import StoreError

__all__ = ["FolderLock"]

_TAKEN = (errno.EWOULDBLOCK, errno.EACCES)
_GLANCE = 0.1  # seconds; a process that only checks the lock has released it by then


class FolderLock:
    """Held from construction until ``release``, or until the process ends, however that happens.

    It is the kernel's lock of the folder itself (``flock``), so nothing is left on disk. On a file system without such
    locks it has no effect.

    Args:
        folder: an existing folder.

    Raises:
        StoreError: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _TAKEN:
                raise StoreError(f"{folder}: another process is writing here. Wait until it ends, or end it") from None
            return
        self._descriptor = descriptor

    def release(self) -> None:
        """Let other processes write. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough: a worker made by fork has it open too
            os.close(descriptor)

    def is_of(self, folder: Path) -> bool:
        """Whether ``folder`` is still what was locked: it may have been removed and made anew before that."""
        if self._descriptor is None:  # a file system without locks
            return folder.is_dir()
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(folder))
        return False

    @staticmethod
    def held(folder: Path) -> bool:
        """Whether a process writes into ``folder`` now."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError as error:
            return error.errno in _TAKEN
        finally:
            os.close(descriptor)
        return False


def _lock(descriptor: int) -> None:
    """Lock, or raise OSError if another process holds the lock for longer than one that only checks it."""
    until = time.monotonic() + _GLANCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _TAKEN or time.monotonic() > until:
                raise
        time.sleep(_GLANCE / 10)

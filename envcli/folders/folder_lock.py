"""One writer a folder: a lock that goes with the process that holds it."""

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
_GLANCE = 0.1  # seconds within which whoever only looks whether somebody writes has gone again


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
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _TAKEN:
                raise StoreError(f"{folder}: another process is writing here. Wait until it ends, or end it") from None
            return
        self._descriptor = descriptor

    def release(self) -> None:
        """Let others write. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough: a worker made by fork has it open too
            os.close(descriptor)

    def is_of(self, folder: Path) -> bool:
        """Is it still what stands at ``folder``? That may have been removed, and made anew, before it was locked."""
        if self._descriptor is None:  # a file system without locks
            return folder.is_dir()
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(folder))
        return False

    @staticmethod
    def held(folder: Path) -> bool:
        """Is somebody writing into ``folder`` now?"""
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
    """Raises OSError where somebody holds it, and goes on doing so: not one who only looks."""
    until = time.monotonic() + _GLANCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _TAKEN or time.monotonic() > until:
                raise
        time.sleep(_GLANCE / 10)

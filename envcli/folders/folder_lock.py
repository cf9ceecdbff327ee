"""One writer for each folder: a lock that ends with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from envcli.errors import StoreError

__all__ = ["FolderLock", "locked"]

_TAKEN = (errno.EWOULDBLOCK, errno.EACCES)
_GLANCE = 0.1  # seconds; a process that only checks the lock has released it by then
_PATIENCE = 2.0  # seconds to wait for who does something short inside; whoever takes longer hangs
_LOOK = 0.01  # seconds between two attempts


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
            _lock(descriptor, fcntl.LOCK_EX, _GLANCE)
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


@contextlib.contextmanager
def locked(folder: Path, shared: bool = False) -> Iterator[None]:
    """Inside, nobody else has the kernel's lock of ``folder``, or with ``shared`` only others who share it.

    It is for what takes a moment. If the file system has no such locks, or somebody hangs inside, it is not waited for.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            _lock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, _PATIENCE)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int, patience: float) -> None:
    """Lock, or raise OSError if another process holds the lock for longer than ``patience``, in seconds."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _TAKEN or time.monotonic() > until:
                raise
        time.sleep(_LOOK)

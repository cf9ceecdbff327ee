"""A lock between processes that nobody can take to the grave."""

from __future__ import annotations

import fcntl
import os
import types
import weakref
from typing import Any, Self

from envcli.memory.nameless_file import nameless_file

__all__ = ["SharedLock"]


class SharedLock:
    """Held by one process at a time: ``with lock: ...``. It can be pickled, and is the same lock on the other side.

    A lock on an open file: the kernel lets go of it when the process that holds it ends, however it ends, so that no
    other waits for ever. A child that it has forked does not keep it. Not for threads of one process among themselves.
    """

    def __init__(self) -> None:
        _, self.file = nameless_file(self)
        self._open: tuple[int, weakref.finalize[[int], SharedLock]] | None = None  # the file, and what closes it

    def __enter__(self) -> Self:
        if self._open is None:
            fd = os.open(self.file, os.O_RDWR | os.O_CLOEXEC)
            self._open = fd, weakref.finalize(self, os.close, fd)
            _OPEN.add(self)
        fcntl.flock(self._open[0], fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        assert self._open is not None
        fcntl.flock(self._open[0], fcntl.LOCK_UN)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "_open": None}

    def _close(self) -> None:
        """Know the file no more: it is opened anew when it is needed."""
        if self._open is not None:
            self._open[1]()
            self._open = None


_OPEN: weakref.WeakSet[SharedLock] = weakref.WeakSet()


def _close_all() -> None:
    for lock in list(_OPEN):
        lock._close()


os.register_at_fork(after_in_child=_close_all)  # an open file is its parent's too, and so is a lock on it

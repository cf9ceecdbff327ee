"""A lock between processes that nobody can take to the grave."""

from __future__ import annotations

import fcntl
import os
import types
import weakref
from typing import Any, Self

from envcli.memory.shared_memory import nameless_file

__all__ = ["SharedLock"]


class SharedLock:
    """Held by one process at a time: ``with lock: ...``. It can be pickled, and is the same lock on the other side.

    A lock on an open file: the kernel lets go of it when the process that holds it ends, however it ends, so that no
    other waits for ever. Not for threads of one process among themselves.
    """

    def __init__(self) -> None:
        _, self.file = nameless_file(self)
        self._fd: int | None = None
        self._owner = 0  # the process that has opened it

    def __enter__(self) -> Self:
        if self._fd is None or self._owner != os.getpid():  # a forked child shares its parent's, and so its lock
            self._fd, self._owner = os.open(self.file, os.O_RDWR | os.O_CLOEXEC), os.getpid()
            weakref.finalize(self, os.close, self._fd)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        assert self._fd is not None
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "_fd": None, "_owner": 0}

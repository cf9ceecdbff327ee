"""Large memory that a rollout has released, kept for the next one of the same size."""

from __future__ import annotations

import contextlib
import math
import mmap
import weakref
from collections.abc import Set

import numpy as np
import torch

from envcli.keys import Key
from envcli.memory.buffer import Place, in_memory
from envcli.memory.shared_memory import KEPT, SharedMemory

__all__ = ["SpareMemory", "SpareShared"]

_LARGE = 2**20  # bytes: below that, malloc keeps freed memory itself
_SMALL = 2**24  # bytes
_LENT = 6  # shared memories that are kept: the front's, those of two rollouts, and those of transforms
_MOST = 16  # blocks kept: two rollouts of a few entries each, which take turns where one is read as the next is made

_spare: dict[int, list[mmap.mmap]] = {}  # size -> blocks that nobody looks at any more


class SpareMemory:
    """A ``Place`` (see :mod:`envcli.memory.buffer`) of rows that need no zeros, since they are written first.

    New pages are zeroed by the kernel when they are first written, 15 us for the two frames of a step of Atari, and a
    virtual machine may have to fetch them from its host, ten times that. Memory that was written before costs neither.
    A block comes back when the last view of it is gone, of whatever kind; and while it waits here, the kernel may take
    its pages for something else. As ever, pages are only paid for when they are first written.

    Args:
        paths: whose rows these are. All others, and bools, begin at zero.
    """

    def __init__(self, paths: Set[Key]) -> None:
        self._paths = paths

    def __call__(self, path: Key, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Rows, see ``Place``. Raises EnvError where the machine has too little memory."""
        size = math.prod(shape) * dtype.itemsize
        if path not in self._paths or _must_be_zero(size, dtype) or not hasattr(mmap, "MADV_FREE"):
            return in_memory(path, shape, dtype)
        try:
            block = _spare[size].pop()
        except (KeyError, IndexError):
            try:
                block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError:  # too much for this machine, as will be said there
                return in_memory(path, shape, dtype)
            _advise(block, "MADV_HUGEPAGE")  # 13 us for a frame of Atari, page by page 55
        rows = np.frombuffer(block, dtype=np.uint8)  # whatever tensor or array shows the block keeps this one alive
        weakref.finalize(rows, _keep, block).atexit = False
        return torch.from_numpy(rows).view(dtype).view(shape)


class SpareShared:
    """Shared memory that rollouts have let go of, kept for those that follow.

    To map new pages costs each process 1 us for 4 kB, and more where machines are virtual: 20 us for the frames of a
    step of Atari; and workers that are bound to the same memory still need not be told. Unlike that of
    :class:`SpareMemory` the kernel cannot take it back meanwhile: what is larger than 512 MiB is not kept, and of what
    is larger than 16 MiB only the last that was let go of. What was there when the process forked is not used again.
    """

    def __init__(self) -> None:
        self._lent: list[SharedMemory] = []

    def place(self, paths: Set[Key]) -> Place:
        """A ``Place`` for one buffer; rows of ``paths``, where they are large, may hold anything."""
        memory: SharedMemory | None = None
        used = False

        def rows(path: Key, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
            nonlocal memory, used
            size = math.prod(shape) * dtype.itemsize
            if memory is None:
                memory, used = self._fitting(size)
            found = memory(path, shape, dtype)
            if memory.nbytes > KEPT and memory in self._lent:
                self._lent.remove(memory)
            if used and (path not in paths or _must_be_zero(size, dtype)):
                found.zero_()
            return found

        return rows

    def _fitting(self, size: int) -> tuple[SharedMemory, bool]:
        """Memory that begins with a piece of ``size`` bytes, and whether it was used before."""
        ours = [lent for lent in self._lent if lent.is_ours()]
        fitting = (lent for lent in reversed(ours) if lent.starts_with(size) and lent.is_free())
        found = next(fitting, None)
        others = [lent for lent in ours if lent is not found and (lent.nbytes <= _SMALL or not lent.is_free())]
        memory = found or SharedMemory()
        memory.again()
        self._lent = [*others[1 - _LENT :], memory]
        return memory, found is not None


def _must_be_zero(size: int, dtype: torch.dtype) -> bool:
    """Rows of ``size`` bytes: marks are written where they are true, and nowhere else; and small rows cost nothing."""
    return size < _LARGE or dtype == torch.bool


def _keep(block: mmap.mmap) -> None:
    if sum(map(len, list(_spare.values()))) >= _MOST:
        _spare.clear()
    _advise(block, "MADV_FREE")
    _spare.setdefault(len(block), []).append(block)


def _advise(block: mmap.mmap, advice: str) -> None:
    """What a kernel was built without, it may refuse; nothing depends on it."""
    with contextlib.suppress(OSError, AttributeError):
        block.madvise(getattr(mmap, advice))

"""Large memory that a rollout has let go of, kept for the next one that needs as much."""

from __future__ import annotations

import contextlib
import math
import mmap
import weakref
from collections.abc import Set

import numpy as np
import torch

from envcli.buffer import in_memory
from envcli.keys import Key

__all__ = ["SpareMemory"]

_LARGE = 2**20  # bytes: below that, malloc keeps memory for the next who asks
_MOST = 16  # blocks kept: two rollouts of a few entries each, which take turns where one is read as the next is made

_spare: dict[int, list[mmap.mmap]] = {}  # size -> blocks that nobody looks at any more


class SpareMemory:
    """A ``Place`` (see :mod:`envcli.buffer`) where rows that are written before they are read may hold anything.

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
        marks = dtype == torch.bool  # which are written where they are true, and nowhere else
        if size < _LARGE or marks or path not in self._paths or not hasattr(mmap, "MADV_FREE"):
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


def _keep(block: mmap.mmap) -> None:
    if sum(map(len, list(_spare.values()))) >= _MOST:
        _spare.clear()
    _advise(block, "MADV_FREE")
    _spare.setdefault(len(block), []).append(block)


def _advise(block: mmap.mmap, advice: str) -> None:
    """What a kernel was built without, it may refuse; nothing depends on it."""
    with contextlib.suppress(OSError, AttributeError):
        block.madvise(getattr(mmap, advice))

"""Large memory of this process that a rollout has released, kept for the next one of the same size."""

from __future__ import annotations

import contextlib
import functools
import math
import mmap
import weakref
from collections import deque
from collections.abc import Set

import numpy as np
import torch

from envcli.keys import Key
from envcli.memory.buffer import Place, in_memory
from envcli.memory.spare_memory import SpareMemory, must_be_zero

__all__ = ["SparePrivate"]

_MOST = 16  # blocks kept: two rollouts of a few entries each, which take turns where one is read as the next is made


class SparePrivate(SpareMemory):
    """Memory that this process alone can see.

    New pages are zeroed by the kernel when they are first written, 15 us for the two frames of a step of Atari, and a
    virtual machine may have to fetch them from its host, ten times that. Memory that was written before costs neither.
    A block comes back when the last view of it is gone, of whatever kind; and while it waits here, the kernel may take
    its pages for something else. As ever, pages are only paid for when they are first written.
    """

    def __init__(self) -> None:
        self._blocks: deque[mmap.mmap] = deque(maxlen=_MOST)  # that nobody looks at any more, the last one at the end

    def place(self, paths: Set[Key] = frozenset()) -> Place:
        """See :class:`SpareMemory`. It can be pickled, and raises EnvError where the machine has too little memory."""
        return functools.partial(self._rows, paths)

    def __reduce__(self) -> tuple[type[SparePrivate], tuple[()]]:
        return type(self), ()  # nothing is spare in a copy

    def _rows(self, paths: Set[Key], path: Key, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        size = math.prod(shape) * dtype.itemsize
        if path not in paths or must_be_zero(size, dtype) or not hasattr(mmap, "MADV_FREE"):
            return in_memory(path, shape, dtype)
        block = self._spare(size)
        if block is None:
            try:
                block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError:  # too much for this machine, as will be said there
                return in_memory(path, shape, dtype)
            _advise(block, "MADV_HUGEPAGE")  # 13 us for a frame of Atari, page by page 55
        rows = np.frombuffer(block, dtype=np.uint8)  # whatever tensor or array shows the block keeps this one alive
        weakref.finalize(rows, self._keep, block).atexit = False
        return torch.from_numpy(rows).view(dtype).view(shape)

    def _spare(self, size: int) -> mmap.mmap | None:
        for block in reversed(list(self._blocks)):
            if len(block) == size:
                with contextlib.suppress(ValueError):  # another thread was faster
                    self._blocks.remove(block)
                    return block
        return None

    def _keep(self, block: mmap.mmap) -> None:
        _advise(block, "MADV_FREE")
        self._blocks.append(block)


def _advise(block: mmap.mmap, advice: str) -> None:
    """What a kernel was built without, it may refuse; nothing depends on it."""
    with contextlib.suppress(OSError, AttributeError):
        block.madvise(getattr(mmap, advice))

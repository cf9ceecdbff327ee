"""Shared memory that rollouts have let go of, kept for those that follow."""

from __future__ import annotations

import math
from collections.abc import Set

import torch

from envcli.keys import Key
from envcli.memory.buffer import Place
from envcli.memory.mapped import KEPT
from envcli.memory.shared_memory import SharedMemory
from envcli.memory.spare_memory import SpareMemory, must_be_zero

__all__ = ["SpareShared"]

_SMALL = 2**24  # bytes
_LENT = 6  # shared memories that are kept: the front's, those of two rollouts, and those of transforms


class SpareShared(SpareMemory):
    """Memory that the workers of a batch map, too.

    To map new pages costs each process 1 us for 4 kB, and more where machines are virtual: 20 us for the frames of a
    step of Atari; and workers that are bound to the same memory still need not be told. Unlike memory of
    :class:`SparePrivate` the kernel cannot take this back meanwhile: what is larger than 512 MiB is not kept, and of
    what is larger than 16 MiB only the last that was let go of. What was there when the process forked is not used
    again.
    """

    def __init__(self) -> None:
        self._lent: list[SharedMemory] = []

    def place(self, paths: Set[Key] = frozenset()) -> Place:
        """See :class:`SpareMemory`."""
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
            if used and (path not in paths or must_be_zero(size, dtype)):
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

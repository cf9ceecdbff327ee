"""Memory that several processes map."""

from __future__ import annotations

import math
import mmap
import os
import weakref

import numpy as np
import torch

from envcli.errors import EnvError
from envcli.keys import Key
from envcli.memory.buffer import Array
from envcli.memory.free_memory import free_memory
from envcli.memory.mapped import map_file, new_serial, remember
from envcli.memory.nameless_file import nameless_file

__all__ = ["SharedMemory"]

_ALWAYS_FREE = 2**24  # bytes: below that, asking costs more than it tells
_BLOCK = 2**24  # bytes of addresses; memory is taken as they are written to
_ALIGNED = 64  # bytes: a cache line

_forks = [0]  # how often this process has forked


def _note_fork() -> None:
    _forks[0] += 1


os.register_at_fork(before=_note_fork)


class SharedMemory:
    """A ``Place`` (see :mod:`envcli.memory.buffer`): rows in memory that other processes of this user can map.

    It has no name in the file system, is not counted against ``/dev/shm``, and is gone with the last process that maps
    it, however that ends. One file descriptor, let go of with this object; the rows themselves live on as long as
    somebody holds them, but can be handed to no further process then.

    It is mapped 16 MiB at a time, or more for rows that are larger, and not entry by entry: Linux lets a process have
    65,530 mappings, so that of rollouts of CartPole only 4,600 could be kept.
    """

    def __init__(self) -> None:
        self._fd, self.file = nameless_file(self)
        self._pieces: list[_Piece] = []
        self._next = 0  # the piece that is handed out next; those before are in use
        self._forks = _forks[0]

    def __call__(self, path: Key, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Zeros; see ``Place``. Raises EnvError where the machine has too little memory left."""
        size = math.prod(shape) * dtype.itemsize
        if not size:
            return torch.zeros(shape, dtype=dtype)
        if self._next < len(self._pieces) and self._pieces[self._next].size != size:
            self._cut()
        if self._next == len(self._pieces):
            self._require_free(path, shape, size)
            self._pieces.append(self._new_piece(size))
        piece = self._pieces[self._next]
        self._next += 1
        return torch.from_numpy(piece.rows(self.file)).view(dtype).view(shape)

    def _require_free(self, path: Key, shape: tuple[int, ...], size: int) -> None:
        needed = self.nbytes + size
        free = free_memory() if needed > _ALWAYS_FREE else None
        if free is not None and needed > free:
            raise EnvError(
                f"rows {list(shape)} of {'.'.join(path)} in shared memory need {size:,} bytes "
                f"({self.nbytes:,} are already taken), but this machine has {free:,} free. "
                "Make fewer steps at a time, or let a recorder write them to disk: recorder=memmap"
            )

    def _new_piece(self, size: int) -> _Piece:
        last = self._pieces[-1] if self._pieces else None
        start = 0 if last is None else -(-last.stop // _ALIGNED) * _ALIGNED
        if last is None or start + size > last.block.stop:
            start = 0 if last is None else last.block.stop
            length = max(-(-size // mmap.PAGESIZE) * mmap.PAGESIZE, _BLOCK)
            os.ftruncate(self._fd, start + length)
            return _Piece(_Block(map_file(self._fd, length, start), start), start, size)
        return _Piece(last.block, start, size)

    def _cut(self) -> None:
        """What follows is laid out anew."""
        del self._pieces[self._next :]
        os.ftruncate(self._fd, self.nbytes)  # its pages go, and the rest of the last one is zeroed
        os.ftruncate(self._fd, self._pieces[-1].block.stop if self._pieces else 0)

    @property
    def nbytes(self) -> int:
        """How many bytes there are."""
        return self._pieces[-1].stop if self._pieces else 0

    def starts_with(self, size: int) -> bool:
        """Has the first piece ``size`` bytes?"""
        return bool(self._pieces) and self._pieces[0].size == size

    def is_free(self) -> bool:
        """Have all views of the rows gone?"""
        return not any(piece.in_use() for piece in self._pieces)

    def is_ours(self) -> bool:
        """Is this the process that made it? A forked child still sees rows that its parent has released."""
        return self._forks == _forks[0]

    def again(self) -> None:
        """Hand out the same memory again, from the start, with whatever it holds. It must be free."""
        self._next = 0


class _Block:
    """Bytes of the file that are mapped in one go, from ``start`` to ``stop``."""

    def __init__(self, memory: memoryview, start: int) -> None:
        self.memory, self.start, self.stop = memory, start, start + len(memory)


class _Piece:
    """What rows of one entry are handed out of, while they are, and until they are once more."""

    def __init__(self, block: _Block, start: int, size: int) -> None:
        self.block, self.start, self.size, self.stop = block, start, size, start + size
        self._serial = new_serial()
        self._rows: weakref.ref[Array] | None = None

    def rows(self, file: str) -> Array:
        """``[size]`` bytes."""
        at = self.start - self.block.start
        rows: Array = np.frombuffer(self.block.memory[at : at + self.size], dtype=np.uint8)
        self._rows = weakref.ref(rows)
        remember(rows, file, self.start, self._serial)
        return rows

    def in_use(self) -> bool:
        return self._rows is not None and self._rows() is not None

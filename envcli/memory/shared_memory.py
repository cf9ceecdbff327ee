"""Memory that several processes map: how it is made, and how another process finds it."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch

from envcli.errors import EnvError
from envcli.keys import Key
from envcli.memory.buffer import Array

__all__ = [
    "KEPT",
    "Known",
    "Mapped",
    "SharedMemory",
    "crowds",
    "mapped",
    "nameless_file",
    "open_all",
    "open_mapped",
    "remember",
]

K = TypeVar("K")

_NAMELESS = "/proc/"  # where a file without a name is found
_ALWAYS_FREE = 2**24  # bytes: below that, asking costs more than it tells

Known: TypeAlias = list[dict[tuple[int, int], torch.Tensor]]
"""Files that stay mapped, by device and inode: those that were opened the last time, and the time before."""

KEPT = 2**29
"""Bytes of one rollout: memory up to that is kept for the next one."""

_MANY = 1024  # mappings: Linux lets a process have 65,530, and each takes whole pages, in every process that has it
_SMALL = 2**24  # bytes

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Mapped(NamedTuple):
    """A tensor described for another process, in plain values that can be sent as text."""

    file: str
    offset: int  # bytes from the start of the file
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements
    dtype: str
    serial: int = 0  # of the mapping it is a view of: no other in this process ever has the same


_FILES: dict[int, tuple[str, int, int]] = {}  # address of a mapping -> the file, where in it it begins, its serial
_SERIALS = itertools.count(1)

_forks = [0]  # how often this process has forked


def _note_fork() -> None:
    _forks[0] += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_note_fork)


class SharedMemory:
    """A ``Place`` (see :mod:`envcli.memory.buffer`): rows in memory that other processes of this user can map.

    It has no name in the file system, is not counted against ``/dev/shm``, and is gone with the last process that maps
    it, however that ends. One file descriptor, let go of with this object; the rows themselves live on as long as
    somebody holds them, but can be handed to no further process then.
    """

    def __init__(self) -> None:
        self._fd, self.file = nameless_file(self)
        self._size = 0
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
            self._pieces.append(self._new_piece(path, shape, size))
        piece = self._pieces[self._next]
        self._next += 1
        return torch.from_numpy(piece.rows(self.file)).view(dtype).view(shape)

    def _new_piece(self, path: Key, shape: tuple[int, ...], size: int) -> _Piece:
        free = _free_memory() if self._size + size > _ALWAYS_FREE else None
        if free is not None and self._size + size > free:
            raise EnvError(
                f"rows {list(shape)} of {'.'.join(path)} in shared memory need {size:,} bytes "
                f"({self._size:,} are already taken), but this machine has {free:,} free. "
                "Make fewer steps at a time, or let a recorder write them to disk: recorder=memmap"
            )
        offset = self._size
        self._size += -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        os.ftruncate(self._fd, self._size)
        return _Piece(offset, size, _map(self._fd, size, offset))

    def _cut(self) -> None:
        """What follows is laid out anew."""
        self._size = self._pieces[self._next].offset
        del self._pieces[self._next :]
        os.ftruncate(self._fd, self._size)

    @property
    def nbytes(self) -> int:
        """How many bytes there are."""
        return self._size

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


class _Piece:
    """What rows of one entry are handed out of, while they are, and until they are once more."""

    def __init__(self, offset: int, size: int, memory: Any) -> None:
        self.offset, self.size = offset, size
        self._memory = memory
        self._serial = next(_SERIALS)
        self._rows: weakref.ref[Array] | None = None

    def rows(self, file: str) -> Array:
        """``[size]`` bytes."""
        rows: Array = np.frombuffer(memoryview(self._memory), dtype=np.uint8)
        self._rows = weakref.ref(rows)
        _note(rows, file, self.offset, self._serial)
        return rows

    def in_use(self) -> bool:
        return self._rows is not None and self._rows() is not None


def nameless_file(owner: object) -> tuple[int, str]:
    """An empty file that disappears with ``owner``: its descriptor, and the path for other processes of this user."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("envcli")
        file = f"{_NAMELESS}{os.getpid()}/fd/{fd}"
    else:
        fd, file = tempfile.mkstemp(prefix="envcli-")
    weakref.finalize(owner, _release, fd, file)
    return fd, file


def remember(rows: Array, file: Path | str, offset: int = 0) -> None:
    """``rows`` map ``file`` from byte ``offset`` on: :func:`mapped` of their tensors says so, as long as they live."""
    _note(rows, str(file), offset, next(_SERIALS))


def _note(rows: Array, file: str, offset: int, serial: int) -> None:
    address = rows.ctypes.data
    _FILES[address] = file, offset, serial
    weakref.finalize(rows, _FILES.pop, address, None).atexit = False


def mapped(tensor: torch.Tensor) -> Mapped | None:
    """The description of ``tensor``, or of any view, for another process; None: its memory is private."""
    start = tensor.untyped_storage().data_ptr()
    dtype = str(tensor.dtype).removeprefix("torch.")
    if not tensor.numel():  # an observation may be no numbers at all
        return Mapped("", 0, tuple(tensor.shape), tensor.stride(), dtype)
    if start not in _FILES:
        return None
    file, offset, serial = _FILES[start]
    return Mapped(file, offset + tensor.data_ptr() - start, tuple(tensor.shape), tensor.stride(), dtype, serial)


def crowds(rows: Mapping[Key, torch.Tensor]) -> bool:
    """Is this shared memory, but so little of it that somebody who keeps many such rows is better off with copies?

    That is so once this process has 1,024 mappings: 80 rollouts of CartPole, kept in a list.
    """
    if len(_FILES) <= _MANY or sum(tensor.nbytes for tensor in rows.values()) > _SMALL:
        return False
    return any(tensor.untyped_storage().data_ptr() in _FILES for tensor in rows.values())


def open_mapped(source: Mapped) -> torch.Tensor:
    """The tensor that ``source`` describes, over the same memory as that of the process that described it."""
    return open_all({"": source})[""]


def open_all(sources: Mapping[K, Mapped], known: Known | None = None) -> dict[K, torch.Tensor]:
    """:func:`open_mapped` of each; a file that several of them lie in is mapped once.

    Args:
        known: of an earlier time, ``[{}, {}]`` at first: what it shows is not mapped again. Updated; files that have
            names, and what is too large, are left out.
    """
    files: dict[str, torch.Tensor] = {}
    kept: dict[tuple[int, int], torch.Tensor] = {}
    found = {}
    for name, source in sources.items():
        dtype: torch.dtype = getattr(torch, source.dtype)
        if 0 in source.shape:
            found[name] = torch.zeros(source.shape, dtype=dtype)
            continue
        if source.file not in files:
            which, whole = _opened(source.file, known or [])
            files[source.file] = whole
            if source.file.startswith(_NAMELESS) and len(whole) <= KEPT:
                kept[which] = whole
        whole = files[source.file][source.offset :]
        whole = whole[: len(whole) // dtype.itemsize * dtype.itemsize]
        found[name] = whole.view(dtype).as_strided(source.shape, source.strides)
    if known is not None:
        known[:] = [kept, known[0]]
    return found


def _opened(file: str, known: Known) -> tuple[tuple[int, int], torch.Tensor]:
    """Which file it is, and ``[bytes]`` of all of it, shared. One descriptor, and that for a moment."""
    fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        which, size = (status.st_dev, status.st_ino), status.st_size
        for files in known:
            found = files.get(which)
            if found is not None and len(found) == size:
                return which, found
        rows = np.frombuffer(memoryview(_map(fd, size, 0)), dtype=np.uint8)
    finally:
        os.close(fd)
    remember(rows, file)
    return which, torch.from_numpy(rows)


def _map(fd: int, size: int, offset: int) -> Any:  # Any: ctypes makes a class for each size
    """``size`` bytes of the file, shared. Not by ``mmap.mmap``, which keeps a file descriptor for each mapping."""
    address = _LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, offset)
    if address in (None, ctypes.c_void_p(-1).value):
        raise EnvError(f"{size:,} bytes of shared memory cannot be mapped ({os.strerror(ctypes.get_errno())})")
    memory = (ctypes.c_uint8 * size).from_address(address)
    weakref.finalize(memory, _LIBC.munmap, address, size).atexit = False  # at exit others may still read it
    return memory


def _release(fd: int, file: str) -> None:
    os.close(fd)
    if not file.startswith(_NAMELESS):
        Path(file).unlink(missing_ok=True)


def _free_memory(machine: Path = Path("/proc/meminfo"), container: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that can still be had, without swapping, by the machine's account and by the container's; None: unknown.

    A container is charged for files that it has read or written, but lets go of them where memory is wanted.
    """
    found = []
    with contextlib.suppress(OSError):  # not Linux, or no such account
        lines = machine.read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with contextlib.suppress(OSError):
        limit, used, about = (
            (container / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current", "stat")
        )
        pages = dict(line.split() for line in about.splitlines())
        files = sum(int(pages.get(name, 0)) for name in ("active_file", "inactive_file"))
        found += [int(limit) - int(used) + files] if limit.strip() != "max" else []
    return min(found, default=None)

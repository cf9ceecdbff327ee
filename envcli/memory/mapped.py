"""A tensor in a file that is mapped, as another process is told of it, and finds it."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch

from envcli.errors import EnvError
from envcli.memory.buffer import Array
from envcli.memory.nameless_file import is_nameless

__all__ = ["KEPT", "Known", "Mapped", "map_file", "mapped", "new_serial", "open_all", "open_mapped", "remember"]

K = TypeVar("K")

Known: TypeAlias = list[dict[tuple[int, int], torch.Tensor]]
"""Files that stay mapped, by device and inode: those that were opened the last time, and the time before."""

KEPT = 2**29
"""Bytes of one rollout: memory up to that is kept for the next one."""

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
    serial: int = 0  # of the memory it is a view of: no other in this process ever has the same


_FILES: dict[int, tuple[str, int, int]] = {}  # address of memory -> its file, where in it it begins, its serial

new_serial = itertools.count(1).__next__
"""A number for memory that :func:`remember` is told of."""


def remember(rows: Array, file: Path | str, offset: int = 0, serial: int | None = None) -> None:
    """``rows`` map ``file`` from byte ``offset`` on: :func:`mapped` of their tensors says so, as long as they live.

    ``serial``: that of memory that is remembered again; None: a new one.
    """
    address = rows.ctypes.data
    _FILES[address] = str(file), offset, new_serial() if serial is None else serial
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
            if is_nameless(source.file) and len(whole) <= KEPT:
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
        rows = np.frombuffer(map_file(fd, size, 0), dtype=np.uint8)
    finally:
        os.close(fd)
    remember(rows, file)
    return which, torch.from_numpy(rows)


def map_file(fd: int, size: int, offset: int) -> memoryview:
    """``size`` bytes of the file from ``offset`` on, shared, as long as a view of them lives.

    Not by ``mmap.mmap``, which keeps a file descriptor for each mapping. Raises EnvError where it cannot be done.
    """
    address = _LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, offset)
    if address in (None, ctypes.c_void_p(-1).value):
        raise EnvError(f"{size:,} bytes of shared memory cannot be mapped ({os.strerror(ctypes.get_errno())})")
    memory: Any = (ctypes.c_uint8 * size).from_address(address)  # Any: ctypes makes a class for each size
    weakref.finalize(memory, _LIBC.munmap, address, size).atexit = False  # at exit others may still read it
    return memoryview(memory)

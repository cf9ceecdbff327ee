"""A file of rows as memory that is nobody else's: what is written into it stays there."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import torch

__all__ = ["private_map"]

_LARGE = 2**30
_PROMISED = {"linux": 0x4000}.get(sys.platform, 0)  # MAP_NORESERVE, which Python names from 3.13 on


def private_map(file: Path, dtype: torch.dtype, shape: torch.Size) -> torch.Tensor:
    """The first values of ``file``, dense, of ``shape``, of which there is at least one.

    Mapped copy-on-write: read from the disk's cache as every mapping is, and only the pages that are written into are
    copied, 4 KiB each. The file may be one that nobody may write. Pickled as any tensor is, with what it holds.

    The size must have been looked at before: reading beyond the end of a file kills the process.
    """
    size = shape.numel() * dtype.itemsize
    if size < _LARGE:
        mapped = torch.from_file(str(file), shared=False, size=size, dtype=torch.uint8)
        held = torch.from_numpy(mapped.numpy())  # torch sends its own mapping to a worker as a file that it closed
        return held.view(dtype).reshape(shape)
    # Linux refuses a private mapping larger than memory unless nothing is to be set aside for its copies. Not for all:
    # it keeps the file open, and there can be thousands of small ones.
    with open(file, "rb") as stream:
        flags, prot = mmap.MAP_PRIVATE | _PROMISED, mmap.PROT_READ | mmap.PROT_WRITE
        pages = mmap.mmap(stream.fileno(), size, flags=flags, prot=prot)
    return torch.frombuffer(pages, dtype=dtype).reshape(shape)

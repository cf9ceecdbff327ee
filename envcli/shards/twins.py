"""What the next step shows is what the row after begins with, except where an episode ends: on disk it stands once.

The file of the root entry has a row more, what the last step led to. Beside it are the values that are at no other
place, those that ended an episode, and where they belong. Frames then take half the disk.

Reading gives them back to the bit, and copies nothing but those few: both entries are mapped privately, the one a row
later than the other, and the values apart are written into the memory of the second. Nobody's changes reach the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from envcli.errors import StoreError
from envcli.keys import Key
from envcli.memory.buffer import Array, as_array
from envcli.shards.private_map import private_map

__all__ = ["apart", "files", "read", "restored", "twin_of", "write"]

_SMALLEST = 2**20  # bytes of an entry for which it is worth a further file
_PAGES = 2 * 4096  # what writing a value dirties beside it
_SHARE = 64  # of an entry, at most this part is made again whenever it is mapped
_BLOCK = 2**24  # bytes compared at a time


def twin_of(key: Key) -> Key:
    """The root entry that an entry of the next step may be the later rows of; ``()`` if ``key`` is none of those."""
    return key[1:] if key[0] == "next" and key[1:2] != ("next",) else ()


def files(file: Path) -> tuple[Path, Path]:
    """Of the entry that would be in ``file``: the values that are apart, and where they belong."""
    stem = file.name.removesuffix(".memmap")
    return file.with_name(f"{stem}+apart"), file.with_name(f"{stem}+where")  # no key is spelt with a plus on disk


def apart(root: torch.Tensor, following: torch.Tensor, lead: int) -> Array | None:
    """``[k]``, where in ``following``, ``[time, *batch, *value]`` counted through ``[time, *batch]``, stand values that
    ``root`` does not hold one row later. None where that is not worth the trouble: too small, one row, or too many.

    Args:
        root, following: dense rows.
        lead: dimensions of the batch.
    """
    if root.shape != following.shape or root.dtype != following.dtype or root.nbytes < _SMALLEST or len(root) < 2:
        return None
    one, two = _values(root, lead), _values(following, lead)
    each = root.shape[1 : 1 + lead].numel()
    most = root.nbytes // _SHARE // (one.shape[1] + _PAGES)
    found: list[Array] = []
    count, step = 0, max(1, _BLOCK // one.shape[1])
    for start in range(0, len(one) - each, step):
        stop = min(start + step, len(one) - each)
        differs = np.flatnonzero((one[start + each : stop + each] != two[start:stop]).any(1)) + start
        found.append(differs)
        count += len(differs)
        if count > most:
            return None
    return np.concatenate(found)


def write(root_file: Path, file: Path, following: torch.Tensor, where: Array, lead: int) -> None:
    """Put the last row of ``following`` behind those of the root, and what is ``apart`` into files; ``file`` goes.

    Raises:
        OSError: the disk is full.
    """
    values = _values(following, lead)
    each = len(values) // len(following)
    for path, content in zip(files(file), (values[where], where.astype("<i8")), strict=True):
        path.write_bytes(content.tobytes())
    with open(root_file, "r+b") as stream:
        stream.seek(following.nbytes)
        stream.write(values[-each:].tobytes())
    file.unlink()


def read(root_file: Path, dtype: torch.dtype, shape: torch.Size) -> torch.Tensor:
    """The root entry, ``[time, *batch, *value]``."""
    return _mapped(root_file, dtype, shape)[: shape[0]]


def restored(root_file: Path, file: Path, dtype: torch.dtype, shape: torch.Size, lead: int) -> torch.Tensor:
    """The entry that is not there: the rows of the root from the second on, and what stands apart.

    Raises:
        StoreError: something belongs where no row is.
    """
    rows = _mapped(root_file, dtype, shape)[1:]
    values_file, where_file = files(file)
    where = np.fromfile(where_file, dtype="<i8")
    count = shape[: 1 + lead].numel()
    if not len(where):
        return rows
    if where.min() < 0 or where.max() >= count:
        raise StoreError(f"{where_file}: is damaged, found places from {where.min()} to {where.max()} of {count:,}")
    values = _values(rows, lead)
    values[where] = np.fromfile(values_file, dtype=values.dtype).reshape(len(where), -1)
    return rows


def _mapped(file: Path, dtype: torch.dtype, shape: torch.Size) -> torch.Tensor:
    """All rows of the file, one more than ``shape`` says, in memory that is copied where it is written into."""
    return private_map(file, dtype, torch.Size([shape[0] + 1, *shape[1:]]))


def _values(rows: torch.Tensor, lead: int) -> Array:
    """``[time x batch, bits]`` over the memory of dense ``rows``: one value of an env a row."""
    array: Any = as_array(rows)
    bits = array.reshape(rows.shape[: 1 + lead].numel(), -1).view(np.uint8)
    wide = np.uint64 if bits.shape[1] % 8 == 0 and bits.ctypes.data % 8 == 0 else np.uint8
    found: Array = bits.view(wide)
    return found

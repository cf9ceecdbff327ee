"""An entry of a saved rollout: its key, what a row of it is, and how its file is called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from envcli.keys import Key

__all__ = [
    "DEEPEST",
    "Entry",
    "checked_entries",
    "checked_groups",
    "checked_key",
    "count",
    "entries_of",
    "file_name",
    "text",
]

DEEPEST = 64
"""Parts of a key, at most."""

_SPELT = {ord(char): f"%{ord(char):02X}" for char in (*map(chr, range(33)), *'"%*/:<>?\\|', chr(127))}
_LONGEST = 255  # bytes in the name of a file

_KINDS = {
    str(kind).removeprefix("torch."): kind
    for kind in vars(torch).values()
    if isinstance(kind, torch.dtype) and not str(kind).startswith("torch.q")  # no file holds a quantized tensor
}


@dataclass(frozen=True)
class Entry:
    """An entry of the rollout: its key, its dtype, and the shape of a row, ``[*batch, *value]``."""

    key: Key
    dtype: str
    shape: tuple[int, ...]

    @property
    def kind(self) -> torch.dtype:
        """The dtype as torch's."""
        return _KINDS[self.dtype]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape) * self.kind.itemsize

    @property
    def file(self) -> str:
        """Where it lies in a shard: ``next/observation.memmap``, spelt as tensordict spells keys on disk."""
        return "/".join(map(file_name, self.key)) + ".memmap"


def entries_of(tensors: Mapping[Key, torch.Tensor]) -> tuple[Entry, ...]:
    """The entries of ``tensors``, each ``[time, *batch, *value]``."""
    return tuple(
        Entry(key, str(rows.dtype).removeprefix("torch."), tuple(rows.shape[1:])) for key, rows in tensors.items()
    )


def checked_entries(content: Iterable[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """From JSON of whoever wrote it: all that is used as a path or a size is looked at.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: an entry cannot be.
    """
    entries = tuple(
        Entry(checked_key(entry["key"]), _dtype(entry["dtype"]), tuple(map(count, entry["shape"]))) for entry in content
    )
    _require_a_tree([entry.key for entry in entries])
    return entries


def checked_groups(
    content: Iterable[Sequence[Any]], entries: Sequence[Entry], lead: int
) -> tuple[tuple[Key, tuple[int, ...]], ...]:
    """Groups of ``entries``, key and ``[*part]``, from JSON of whoever wrote it; ``lead`` dimensions are the batch's.

    Raises:
        TypeError, ValueError: a group cannot be.
    """
    groups = tuple((checked_key(key), tuple(map(count, part))) for key, part in content)
    for group, part in groups:
        below = [entry.shape[lead:] for entry in entries if entry.key[: len(group)] == group != entry.key]
        if not group or not below or any(shape[: len(part)] != part for shape in below):
            raise ValueError(f"group {'.'.join(group)} of {list(part)}")
    return groups


def file_name(name: str) -> str:
    """A part of a key as tensordict spells it on disk: dm_control's composer has keys such as ``walker/joints``.

    Raises ValueError if no file can be called so.
    """
    spelt = name.translate(_SPELT)
    if len(f"{spelt}.memmap".encode()) > _LONGEST:
        raise ValueError(f"found {name[:20]!r}..., {len(name)} characters: too long for the name of a file")
    return spelt


def text(value: object) -> str:
    """A text that is not empty, or a TypeError."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"found {value!r}, expected a text")
    return value


def checked_key(value: object) -> Key:
    """A key whose parts can be the names of files, or a TypeError or ValueError that says which part cannot."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"found key {value!r}, expected a list")
    return tuple(map(_part_of_key, value))


def _part_of_key(value: object) -> str:
    if value in (".", ".."):  # as a path they would lead out of the folder
        raise ValueError(f"found key {value!r}")
    file_name(text(value))  # a ValueError if no file can be called so
    return str(value)


def _require_a_tree(keys: Sequence[Key]) -> None:
    """Raise ValueError where a key stands twice, or above another, or is none."""
    inner = {key[:depth] for key in keys for depth in range(len(key))}
    if any(len(key) > DEEPEST for key in keys):
        raise ValueError(f"keys of more than {DEEPEST} parts")
    if () in keys or len({*keys}) < len(keys) or inner.intersection(keys):
        raise ValueError("found a key twice, or one that is also above others")


def count(value: object) -> int:
    """A number of things, or a TypeError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise TypeError(f"found {value!r}, expected a count")
    return value


def _dtype(value: object) -> str:
    if value not in _KINDS:
        raise ValueError(f"found dtype {value!r}")
    return str(value)

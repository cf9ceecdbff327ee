"""The manifest of a saved rollout: which pieces there are, how long, and what their bytes add up to."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from tensordict import MemoryMappedTensor, TensorDict

from envcli.buffer import as_array
from envcli.errors import StoreError
from envcli.keys import Key, nest

__all__ = ["DEEPEST", "NAME", "Entry", "Manifest", "Shard", "checksum", "entries_of", "file_name", "write_through"]

NAME = "shards.json"
VERSION = 1
DEEPEST = 64
"""Parts of a key, at most."""

_FORMAT = "envcli rollout"
_SHARD = re.compile(r"\d{6,}(\.part)?|\.")  # "." is the folder itself: a rollout in one piece
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


@dataclass(frozen=True)
class Shard:
    """A piece of the rollout: a folder of one file an entry.

    ``checksums`` are the CRC-32 of the files, in the order of the entries.
    """

    name: str
    steps: int
    bytes: int
    checksums: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What a reader may believe about a folder. ``steps`` count rows, each a step of every env of the batch.

    Args:
        batch_size: ``[*batch]``.
        entries: what a row holds.
        shards: the whole pieces, in order of time.
        planned: how many steps were asked for.
        shard_steps: steps of each piece but the last.
        finished: did the rollout end by itself?
    """

    batch_size: tuple[int, ...]
    entries: tuple[Entry, ...]
    shards: tuple[Shard, ...]
    planned: int
    shard_steps: int
    finished: bool

    @property
    def steps(self) -> int:
        """Rows in all shards."""
        return sum(shard.steps for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return sum(entry.row_bytes for entry in self.entries)

    @property
    def one_piece(self) -> bool:
        """Is the folder itself the only piece?"""
        return [shard.name for shard in self.shards] == ["."]

    def with_shards(self, *shards: Shard, finished: bool = False) -> Manifest:
        """The same rollout, in these pieces."""
        return replace(self, shards=shards, finished=finished)

    # -- on disk --------------------------------------------------------------------------------------------------

    def write(self, folder: Path, sync: bool = True) -> None:
        """Replace the manifest of ``folder`` as a whole: a reader sees the old one or this one.

        Raises:
            StoreError: it cannot be written; the old one stays.
        """
        content = {"format": _FORMAT, "version": VERSION, **asdict(self)}
        text = json.dumps({**content, "checksum": _of_content(content)}, indent=1)
        part = folder / f".{NAME}.new"
        try:
            part.unlink(missing_ok=True)
            with open(part, "x", encoding="utf-8") as stream:  # "x" follows no link
                stream.write(text + "\n")
                stream.flush()
                if sync:
                    os.fsync(stream.fileno())
            os.replace(part, folder / NAME)
            if sync:
                write_through(folder)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StoreError(f"{folder / NAME}: cannot be written ({error.strerror})") from None

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of ``folder``.

        Raises:
            StoreError: there is none, it is damaged, of another version, or lists what cannot be.
        """
        path = folder / NAME
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise StoreError(f"{path}: is damaged, found no JSON ({error})") from None
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise StoreError(f"{path}: found something else than the manifest of a rollout of envcli")
        if content.get("version") != VERSION:
            found = content.get("version")
            raise StoreError(f"{path}: found version {found}, expected {VERSION}: another envcli wrote it")
        written = content.pop("checksum", None)
        if written != (found := _of_content(content)):
            raise StoreError(f"{path}: is damaged, found checksum {found}, expected {written}")
        try:
            return cls.of(content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path}: lists what cannot be ({error})") from None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Manifest:
        """From JSON that says it is right: all that is used as a path or a size is looked at all the same.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is not.
        """
        entries = tuple(
            Entry(tuple(map(_part_of_key, entry["key"])), _dtype(entry["dtype"]), tuple(map(_count, entry["shape"])))
            for entry in content["entries"]
        )
        _require_a_tree([entry.key for entry in entries])
        row = sum(entry.row_bytes for entry in entries)
        shards = tuple(
            Shard(_shard_name(s["name"]), _count(s["steps"]), _count(s["bytes"]), tuple(map(_text, s["checksums"])))
            for s in content["shards"]
        )
        for shard in shards:
            if shard.bytes != shard.steps * row or len(shard.checksums) not in (0, len(entries)):
                raise ValueError(f"shard {shard.name}: {shard.bytes:,} bytes in {shard.steps:,} steps of {row:,}")
        names = [shard.name for shard in shards]
        if len({*names}) < len(names) or ("." in names and len(names) > 1):
            raise ValueError(f"shards {', '.join(names[:9])}")
        batch = tuple(map(_count, content["batch_size"]))
        for sizes in (entry.shape for entry in entries):
            _count(math.prod(filter(None, (*sizes, *batch, *(shard.steps for shard in shards[:1])))))
        if any(entry.shape[: len(batch)] != batch for entry in entries):
            raise ValueError(f"entries of another batch than {list(batch)}")
        finished = content["finished"] is True
        return cls(batch, entries, shards, _count(content["planned"]), _count(content["shard_steps"]), finished)

    # -- one piece ------------------------------------------------------------------------------------------------

    def require_whole(self, folder: Path, shard: Shard) -> None:
        """Raise StoreError unless every file of ``shard`` is there, itself and no link, and as large as it must be.

        What a link leads to would be mapped, and written into by whoever changes the rollout.
        """
        for place in sorted({place for entry in self.entries for place in (folder / shard.name / entry.file).parents}):
            if folder in place.parents and place.is_symlink():
                raise StoreError(f"{place}: found a link, expected a folder. Put what it leads to in its place")
        for entry in self.entries:
            file = folder / shard.name / entry.file
            expected, found = shard.steps * entry.row_bytes, _size(file)
            if found != expected:
                size = f"{found:,}" if isinstance(found, int) else found
                raise StoreError(f"{file}: expected {expected:,} bytes, found {size}")

    def require_unchanged(self, folder: Path, shard: Shard) -> None:
        """Raise StoreError unless every byte of ``shard`` is what was written."""
        self.require_whole(folder, shard)
        if self.entries and not shard.checksums:
            raise StoreError(f"{folder}: was saved without checksums, so nobody can say whether it is unchanged")
        for entry, expected in zip(self.entries, shard.checksums, strict=True):
            file = folder / shard.name / entry.file
            found = checksum(self.rows(folder, shard, entry))
            if found != expected:
                raise StoreError(f"{file}: is damaged, found checksum {found}, expected {expected}")

    def rows(self, folder: Path, shard: Shard, entry: Entry) -> torch.Tensor:
        """``[time, *batch, *value]`` of ``entry``, memory-mapped: what is written into it is written to the file.

        The size must have been looked at before: reading beyond the end of a file kills the process.
        """
        shape = torch.Size([shard.steps, *entry.shape])
        if not math.prod(shape):
            return torch.zeros(shape, dtype=entry.kind)
        file = folder / shard.name / entry.file
        mapped: torch.Tensor = MemoryMappedTensor.from_filename(str(file), dtype=entry.kind, shape=shape)
        return mapped

    def tensordict(self, folder: Path, shard: Shard) -> TensorDict:
        """``[*batch, time]``, memory-mapped. See :meth:`rows`."""
        lead = len(self.batch_size)
        leaves = {entry.key: self.rows(folder, shard, entry).movedim(0, lead) for entry in self.entries}
        names: Any = [None] * lead + ["time"]  # Any: tensordict's annotation knows no dimension without a name
        return TensorDict(nest(leaves), batch_size=torch.Size([*self.batch_size, shard.steps]), names=names)


def entries_of(tensors: Mapping[Key, torch.Tensor]) -> tuple[Entry, ...]:
    """The entries of ``tensors``, each ``[time, *batch, *value]``."""
    return tuple(
        Entry(key, str(rows.dtype).removeprefix("torch."), tuple(rows.shape[1:])) for key, rows in tensors.items()
    )


def checksum(rows: torch.Tensor) -> str:
    """CRC-32 of dense ``rows``, as eight hexadecimal digits: 1 GB takes about a second.

    It tells damage from data, not malice: whoever can write the file can write the manifest.
    """
    if not rows.numel():
        return f"{0:08x}"
    dense: Any = as_array(rows)  # Any: numpy 1 does not say that its arrays are buffers
    return f"{zlib.crc32(memoryview(dense).cast('B')):08x}"


def write_through(path: Path) -> None:
    """Have what was written of a file, or of the names in a folder, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_name(name: str) -> str:
    """A part of a key as tensordict spells it on disk: dm_control's composer has keys such as ``walker/joints``."""
    return quote(name, safe="")


def _size(file: Path) -> int | str:
    """Of a file itself; what is there instead of one, in words."""
    try:
        found = os.lstat(file)
    except (OSError, ValueError):  # a name can be too long, or hold a zero byte
        return "no file"
    if stat.S_ISLNK(found.st_mode):
        return "a link"
    return found.st_size if stat.S_ISREG(found.st_mode) else "no file"


def _of_content(content: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"found {value!r}, expected a text")
    return value


def _part_of_key(value: object) -> str:
    if value in (".", ".."):  # as a path they would lead out of the folder
        raise ValueError(f"found key {value!r}")
    file_name(_text(value))  # a ValueError if no file can be called so
    return str(value)


def _require_a_tree(keys: Sequence[Key]) -> None:
    """Raise ValueError where a key stands twice, or above another, or is none."""
    inner = {key[:depth] for key in keys for depth in range(len(key))}
    if any(len(key) > DEEPEST for key in keys):
        raise ValueError(f"keys of more than {DEEPEST} parts")
    if () in keys or len({*keys}) < len(keys) or inner.intersection(keys):
        raise ValueError("found a key twice, or one that is also above others")


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise TypeError(f"found {value!r}, expected a count")
    return value


def _dtype(value: object) -> str:
    if value not in _KINDS:
        raise ValueError(f"found dtype {value!r}")
    return str(value)


def _shard_name(value: object) -> str:
    if not isinstance(value, str) or not _SHARD.fullmatch(value):
        raise ValueError(f"found shard {value!r}")
    return value

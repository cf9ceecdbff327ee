"""The manifest of a saved rollout: which pieces there are, how long, and what their bytes add up to."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict

from envcli.errors import StoreError
from envcli.keys import Key, nest
from envcli.memory.buffer import as_array
from envcli.memory.groups import set_group_batch_sizes
from envcli.shards import twins
from envcli.shards.entry import Entry, checked_entries, checked_groups, count, text
from envcli.shards.private_map import private_map

__all__ = ["NAME", "VERSION", "Manifest", "Shard", "checksum", "write_through"]

NAME = "shards.json"
VERSION = 2  # 1 has no joined entries; what has none is still written as 1, for older readers

_FORMAT = "envcli rollout"
_SHARD = re.compile(r"\d{6,}(\.part)?|\.")  # "." is the folder itself: a rollout in one piece


@dataclass(frozen=True)
class Shard:
    """A piece of the rollout: a folder of one file an entry.

    ``bytes`` are those of all rows, ``checksums`` the CRC-32 of those of each entry, in the order of the entries.
    ``joined`` are the places in that order of entries that have no file, because the rows of others say what they are:
    see :mod:`envcli.shards.twins`.
    """

    name: str
    steps: int
    bytes: int
    checksums: tuple[str, ...]
    joined: tuple[int, ...] = ()


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
        groups: nested TensorDicts that count more than the batch, from the outside in: key, and ``[*part]`` beyond it.
    """

    batch_size: tuple[int, ...]
    entries: tuple[Entry, ...]
    shards: tuple[Shard, ...]
    planned: int
    shard_steps: int
    finished: bool
    groups: tuple[tuple[Key, tuple[int, ...]], ...] = ()

    @property
    def steps(self) -> int:
        """Rows in all shards."""
        return sum(shard.steps for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all shards on disk, but the few that belong to rows stored elsewhere."""
        return sum(
            shard.bytes - sum((shard.steps - 1) * self.entries[i].row_bytes for i in shard.joined)
            for shard in self.shards
        )

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
        version = VERSION if any(shard.joined for shard in self.shards) else 1
        content = {"format": _FORMAT, "version": version, **asdict(self)}
        written = json.dumps({**content, "checksum": _of_content(content)}, indent=1)
        part = folder / f".{NAME}.new"
        try:
            part.unlink(missing_ok=True)
            with open(part, "x", encoding="utf-8") as stream:  # "x" follows no link
                stream.write(written + "\n")
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
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{path}: is damaged, not valid JSON ({error})") from None
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise StoreError(f"{path}: found something other than the manifest of an envcli rollout")
        if (found := content.get("version")) not in range(1, VERSION + 1):
            raise StoreError(f"{path}: found version {found}, expected at most {VERSION}: a newer envcli wrote it")
        written = content.pop("checksum", None)
        if written != (sum_of_it := _of_content(content)):
            raise StoreError(f"{path}: is damaged, found checksum {sum_of_it}, expected {written}")
        try:
            return cls.of(content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path}: has impossible contents ({error})") from None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Manifest:
        """From JSON that says it is right: all that is used as a path or a size is looked at all the same.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is not.
        """
        entries = checked_entries(content["entries"])
        row = sum(entry.row_bytes for entry in entries)
        shards = tuple(
            Shard(
                _shard_name(s["name"]),
                count(s["steps"]),
                count(s["bytes"]),
                tuple(map(text, s["checksums"])),
                tuple(map(count, s.get("joined", ()))),
            )
            for s in content["shards"]
        )
        _require_twins(entries, shards)
        for shard in shards:
            if shard.bytes != shard.steps * row or len(shard.checksums) not in (0, len(entries)):
                raise ValueError(f"shard {shard.name}: {shard.bytes:,} bytes in {shard.steps:,} steps of {row:,}")
        names = [shard.name for shard in shards]
        if len({*names}) < len(names) or ("." in names and len(names) > 1):
            raise ValueError(f"shards {', '.join(names[:9])}")
        batch = tuple(map(count, content["batch_size"]))
        for sizes in (entry.shape for entry in entries):
            count(math.prod(filter(None, (*sizes, *batch, *(shard.steps for shard in shards[:1])))))
        if any(entry.shape[: len(batch)] != batch for entry in entries):
            raise ValueError(f"entries of another batch than {list(batch)}")
        groups = checked_groups(content.get("groups", ()), entries, len(batch))
        finished = content["finished"] is True
        return cls(batch, entries, shards, count(content["planned"]), count(content["shard_steps"]), finished, groups)

    # -- one piece ------------------------------------------------------------------------------------------------

    def require_whole(self, folder: Path, shard: Shard) -> None:
        """Raise StoreError unless every file of ``shard`` is there, itself and no link, and as large as it must be.

        What a link leads to is not what was written, whatever it is.
        """
        for place in sorted({place for entry in self.entries for place in (folder / shard.name / entry.file).parents}):
            if folder in place.parents and place.is_symlink():
                raise StoreError(f"{place}: found a link, expected a folder. Replace it with its target")
        for file, expected in self._files(folder, shard):
            found = _size(file)
            if found != expected:
                size = f"{found:,}" if isinstance(found, int) else found
                raise StoreError(f"{file}: expected {expected:,} bytes, found {size}")
            if not os.access(file, os.R_OK):
                raise StoreError(f"{file}: cannot be read, permission denied")

    def _files(self, folder: Path, shard: Shard) -> Iterator[tuple[Path, int]]:
        """Each file of ``shard``, and how large it must be."""
        roots = {twins.twin_of(self.entries[i].key) for i in shard.joined}
        for i, entry in enumerate(self.entries):
            file, each = folder / shard.name / entry.file, math.prod(self.batch_size)
            if i not in shard.joined:
                yield file, (shard.steps + (entry.key in roots)) * entry.row_bytes
                continue
            values, where = twins.files(file)
            found = _size(where)
            known = min(found // 8, shard.steps * each) if isinstance(found, int) else 0
            yield where, known * 8
            yield values, known * (entry.row_bytes // each)

    def require_unchanged(self, folder: Path, shard: Shard) -> None:
        """Raise StoreError unless every byte of ``shard`` is what was written."""
        self.require_whole(folder, shard)
        if self.entries and not shard.checksums:
            raise StoreError(f"{folder}: was saved without checksums, so it cannot be verified")
        for entry, expected in zip(self.entries, shard.checksums, strict=True):
            file = folder / shard.name / entry.file
            found = checksum(self.rows(folder, shard, entry))
            if found != expected:
                raise StoreError(f"{file}: is damaged, found checksum {found}, expected {expected}")

    def rows(self, folder: Path, shard: Shard, entry: Entry) -> torch.Tensor:
        """``[time, *batch, *value]`` of ``entry``, memory-mapped. What is written into it stays in memory.

        The size must have been looked at before: reading beyond the end of a file kills the process.
        """
        shape = torch.Size([shard.steps, *entry.shape])
        if not math.prod(shape):
            return torch.zeros(shape, dtype=entry.kind)
        file, joined = folder / shard.name / entry.file, [self.entries[i].key for i in shard.joined]
        if entry.key in map(twins.twin_of, joined):
            return twins.read(file, entry.kind, shape)
        if entry.key in joined:
            root_file = folder / shard.name / replace(entry, key=entry.key[1:]).file
            return twins.restored(root_file, file, entry.kind, shape, len(self.batch_size))
        return private_map(file, entry.kind, shape)

    def tensordict(self, folder: Path, shard: Shard) -> TensorDict:
        """``[*batch, time]``, memory-mapped. See :meth:`rows`."""
        lead = len(self.batch_size)
        leaves = {entry.key: self.rows(folder, shard, entry).movedim(0, lead) for entry in self.entries}
        names: Any = [None] * lead + ["time"]  # Any: tensordict's annotation knows no dimension without a name
        whole = TensorDict(nest(leaves), batch_size=torch.Size([*self.batch_size, shard.steps]), names=names)
        set_group_batch_sizes(whole, self.groups)
        return whole


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


def _require_twins(entries: Sequence[Entry], shards: Sequence[Shard]) -> None:
    """Raise ValueError where what is said to be joined has no entry to be joined with."""
    by_key = {entry.key: entry for entry in entries}
    for i in (i for shard in shards for i in shard.joined):
        entry = entries[i] if i < len(entries) else None
        root = entry and by_key.get(twins.twin_of(entry.key))
        if entry is None or root is None or (root.dtype, root.shape) != (entry.dtype, entry.shape):
            raise ValueError(f"joined: found {i}, which has no twin")
        if not entry.row_bytes:
            raise ValueError(f"joined: found {i}, which is empty")


def _shard_name(value: object) -> str:
    if not isinstance(value, str) or not _SHARD.fullmatch(value):
        raise ValueError(f"found shard {value!r}")
    return value

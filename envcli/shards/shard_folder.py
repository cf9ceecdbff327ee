"""Writes a rollout to disk shard by shard: what the manifest lists is whole, whatever happens in between."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from envcli.errors import StoreError
from envcli.folders.folder_lock import FolderLock
from envcli.keys import RESTARTED, Key
from envcli.memory.buffer import Layout, Place, RolloutBuffer, as_array, in_memory
from envcli.memory.groups import groups_of
from envcli.shards.entry import Entry, entries_of
from envcli.shards.manifest import NAME, Manifest, Shard, checksum, write_through
from envcli.shards.memmap_folder import MemmapFolder
from envcli.terminal.answer import relative_path
from envcli.typed_word import shell_word, word

__all__ = ["ShardFolder", "usual_steps"]

_BYTES = 2**27  # of a shard: a second to check, and what a kill costs at most
_DRAW = 4096  # random actions are drawn so many steps at a time
_FEW = 16  # normal numbers are drawn so many at a time
_COMPARED = 4096  # rows compared at a time
_OURS = re.compile(r"\d{6,}(\.part)?|\.\d{6,}\.new")


class ShardFolder:
    """A folder that a rollout is written into, one shard after the other; it is locked until ``finish``.

    A shard is a folder that ``TensorDict.load_memmap`` reads too. It is made under another name: reserved on disk,
    written into by whoever makes the steps, synced, and only then renamed and listed in the manifest, which is replaced
    as a whole. Whatever kills the process, or the machine, what the manifest lists is whole.

    Where shards are whole already, the rollout begins again from its first step all the same, because a simulator can
    hardly ever be put back: their rows are made once more, in memory, and held against the checksums of those on disk.
    From then on new shards follow. A shard that was stopped is made once more in files of its own, which take its place
    when they begin with its rows and have more.

    Args:
        folder: made if it is not there; must be empty unless ``resume``.
        layout: what a row holds.
        batch_size: ``[*batch]``.
        planned: steps of the whole rollout, each of every env of the batch, as all steps here.
        shard_steps: steps of a shard; None: :func:`usual_steps`, or what is recorded.
        resume: go on with what is there.
        place: memory for steps that are made again.
        parts: what nested groups count beyond the batch, ``[*part]``.

    Raises:
        StoreError: the folder cannot be written, holds something, is being written by another process, or holds
            another rollout than this one.
    """

    def __init__(
        self,
        folder: Path | str,
        layout: Layout,
        batch_size: torch.Size,
        *,
        planned: int,
        shard_steps: int | None = None,
        resume: bool = False,
        place: Place = in_memory,
        parts: Mapping[Key, torch.Size] = MappingProxyType({}),
    ) -> None:
        self.folder = Path(folder)
        self._layout, self._batch_size, self._place, self._parts = layout, batch_size, place, parts
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written ({error.strerror}). Choose another folder") from None
        self._lock = FolderLock(self.folder)
        try:
            self._open(planned, shard_steps, resume)
        except BaseException:
            self._lock.release()
            raise
        self._again = [shard for shard in self._manifest.shards if not shard.name.endswith(".part")]
        self._replayed = self._manifest.steps
        self._made = 0  # shards, since the beginning of the rollout
        self._scratch: RolloutBuffer | None = None
        self._part: MemmapFolder | None = None

    def _open(self, planned: int, shard_steps: int | None, resume: bool) -> None:
        entries = tuple(
            Entry(path, str(dtype).removeprefix("torch."), tuple(shape))
            for path, (shape, dtype) in self._layout.items()
        )
        if resume and (self.folder / NAME).is_file():
            self._manifest = Manifest.read(self.folder)
            self._require_same(entries, planned)
            self._sweep()
            return
        if resume and (shards := [path for path in self.folder.iterdir() if path.name[0] != "." and path.is_dir()]):
            raise StoreError(
                f"{self.folder / NAME}: is missing, and only it tells what the {len(shards)} shards beside it hold. "
                f"Restore it, or begin anew: rm -r {shell_word(str(self.folder))}"
            )
        if not resume and any(self.folder.iterdir()):
            raise StoreError(f"{self.folder}: is not empty. Choose another folder, or remove it")
        steps = usual_steps(sum(entry.row_bytes for entry in entries)) if shard_steps is None else shard_steps
        values = {path: shape[len(self._batch_size) :] for path, (shape, _) in self._layout.items()}
        groups = tuple((group, tuple(part)) for group, part in groups_of(values, self._parts))
        batch = tuple(self._batch_size)
        self._manifest = Manifest(batch, entries, (), planned, steps, finished=False, groups=groups)
        self._sweep()
        self._replace(self._manifest)

    def _require_same(self, entries: tuple[Entry, ...], planned: int) -> None:
        """Raise StoreError unless the manifest is of the rollout that is about to be made."""
        there = self._manifest
        if (there.planned, there.batch_size) != (planned, tuple(self._batch_size)):
            raise StoreError(
                f"{self.folder}: found a rollout of {there.planned:,} steps of {list(there.batch_size)} envs, "
                f"expected {planned:,} of {list(self._batch_size)}"
            )
        for entry in entries:
            found = next((e for e in there.entries if e.key == entry.key), None)
            if found != entry:
                raise StoreError(f"{self.folder}: {'.'.join(entry.key)}: found {found}, expected {entry}")
        for shard in there.shards:
            there.require_whole(self.folder, shard)

    def _sweep(self) -> None:
        """Remove what an earlier process began and did not list."""
        listed = {shard.name for shard in self._manifest.shards}
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in listed:
                shutil.rmtree(path)

    # -- rows -----------------------------------------------------------------------------------------------------

    @property
    def shard_steps(self) -> int:
        """Steps of a shard."""
        return self._manifest.shard_steps

    @property
    def steps(self) -> int:
        """Steps that are kept."""
        return self._manifest.steps

    @property
    def replayed(self) -> int:
        """Steps that were on disk at the beginning, and are made once more."""
        return self._replayed

    def buffer(self, steps: int) -> RolloutBuffer:
        """Memory for the next ``steps`` steps, at most ``shard_steps``.

        Raises:
            StoreError: the disk has too little room; says how much is needed and how much is free, and what is whole.
        """
        if self._made < len(self._again):
            if self._scratch is None:
                self._scratch = RolloutBuffer.allocate(
                    self._layout, self.shard_steps, self._batch_size, self._place, time_first=True
                )
            return self._scratch
        self._scratch = None
        place = self.folder / f".{self._made:06}.new"
        try:
            part = MemmapFolder(
                place,
                self.folder,
                "Free some space" if self._manifest.steps else "Free some space, or lower total_steps",
            )
            buffer = part.allocate(self._layout, steps, self._batch_size)
        except StoreError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise StoreError(f"{error}. {self._what_is_whole()}") from None
        self._part = part
        return buffer

    def keep(self, buffer: RolloutBuffer, stopped: bool = False) -> None:
        """The filled rows of ``buffer``, which :meth:`buffer` gave, follow those that were kept before.

        With ``stopped`` they may be fewer than were asked for, and the last.

        Raises:
            StoreError: they cannot be written; or they are made again, and differ from those on disk.
        """
        if self._made < len(self._again):
            if not stopped:
                self._require_equal(self._again[self._made], buffer)
                self._made += 1
            return
        part, self._part = self._part, None
        assert part is not None
        whole, end = self._manifest.shards[: self._made], self._manifest.shards[self._made :]
        start = sum(shard.steps for shard in whole)
        cut = buffer.filled < min(self.shard_steps, self._manifest.planned - start)
        if not buffer.filled or (cut and sum(shard.steps for shard in end) >= buffer.filled):
            part.discard()  # stopped before it came further than before
            return
        for shard in end:
            self._require_equal(shard, buffer)
        try:
            self._list(part, buffer, cut)
        except OSError as error:
            reason = error if isinstance(error, StoreError) else f"{self.folder}: {error.strerror}"
            raise StoreError(f"{reason}. {self._what_is_whole()}") from None
        self._made += 1

    def _list(self, part: MemmapFolder, buffer: RolloutBuffer, cut: bool) -> None:
        whole, end = self._manifest.shards[: self._made], self._manifest.shards[self._made :]
        manifest = self._manifest if whole else replace(self._manifest, entries=entries_of(buffer.tensors))
        if strange := {entry.key for entry in manifest.entries} ^ set(buffer):
            raise StoreError(
                f"{self.folder}: {', '.join('.'.join(key) for key in sorted(strange))} is in some shards but not in "
                "others. A policy that writes an entry besides the action must do so from the first step"
            )
        joined = part.keep(buffer)
        keys = [entry.key for entry in manifest.entries]
        rows = [buffer[key][: buffer.filled] for key in keys]
        sums = tuple(map(checksum, rows))
        for path in [part.folder, *part.folder.rglob("*")]:
            write_through(path)
        name = f"{self._made:06}" + (".part" if cut else "")
        if any(shard.name == name for shard in end):  # an end that was stopped, and now is stopped again
            self._replace(manifest.with_shards(*whole))
            shutil.rmtree(self.folder / name)
        os.rename(part.folder, self.folder / name)
        write_through(self.folder)
        size = buffer.filled * manifest.row_bytes
        shard = Shard(name, buffer.filled, size, sums, tuple(map(keys.index, joined)))
        self._replace(manifest.with_shards(*whole, shard))
        self._sweep()

    def _replace(self, manifest: Manifest) -> None:
        manifest.write(self.folder)
        self._manifest = manifest

    def finish(self, finished: bool = True) -> Path | None:
        """Let the folder go, with what is whole in it. Returns it, or None if it holds no step, and is removed then.

        ``finished``: the rollout ended by itself.
        """
        if self._part is not None:
            self._part.discard()
            self._part = None
        self._sweep()
        if not self._manifest.shards:
            shutil.rmtree(self.folder)
        elif finished:
            self._replace(replace(self._manifest, finished=True))
        self._lock.release()
        return self.folder if self._manifest.shards else None

    def _what_is_whole(self) -> str:
        steps = self._manifest.steps * math.prod(self._batch_size)
        if not steps:
            return "Nothing had been written"
        cure = f"envcli rollout {word('resume', relative_path(self.folder.parent))}"
        return f"The {steps:,} steps before are complete and readable; with more space, type: {cure}"

    # -- rows that are made again ---------------------------------------------------------------------------------

    def _require_equal(self, shard: Shard, buffer: RolloutBuffer) -> None:
        """Raise StoreError unless ``buffer`` begins with the rows of ``shard``: of the first that is another."""
        differing: list[tuple[int, Entry]] = []
        for entry, expected in zip(self._manifest.entries, shard.checksums, strict=True):
            if entry.key not in buffer:
                differing.append((0, entry))
                continue
            rows = buffer[entry.key][: shard.steps]
            if checksum(rows) != expected:
                self._manifest.require_unchanged(self.folder, shard)  # or it is the disk that changed
                saved = self._manifest.rows(self.folder, shard, entry)
                differing.append((_first_difference(saved, rows), entry))
        if differing:
            row, entry = min(differing, key=lambda found: found[0])
            raise self._other_bits(entry, shard, row, self._restarts(shard, buffer))

    def _restarts(self, shard: Shard, buffer: RolloutBuffer) -> bool:
        """Were envs lost with their workers in ``shard``, or now that it is made again?"""
        flags = [entry for entry in self._manifest.entries if entry.key[-1] == RESTARTED]
        now = [buffer[entry.key][: shard.steps] for entry in flags if entry.key in buffer]
        return any(rows.any() for rows in (*now, *(self._manifest.rows(self.folder, shard, e) for e in flags)))

    def _other_bits(self, entry: Entry, shard: Shard, row: int, restarts: bool) -> StoreError:
        why = (
            "Workers died and were restarted, then or now, which is not reproducible"
            if restarts
            else "The simulator or the policy is not deterministic, or its version differs"
        )
        at = sum(s.steps for s in self._again[: self._made]) + row
        return StoreError(
            f"{self.folder / shard.name / entry.file}: step {at:,} (row {row:,} of it) differs when made again. "
            f"{why}: this run cannot be resumed. What was written stays readable"
        )


def usual_steps(row_bytes: int) -> int:
    """Steps of a shard of about 128 MiB.

    Random actions are drawn 4,096 steps at a time, so a multiple of that leaves them what they are in one piece. Where
    rows are too large for so many, a multiple of 16 does, if there is one action a step.

    >>> usual_steps(60), usual_steps(100_000)
    (2236416, 1328)
    """
    steps = _BYTES // max(row_bytes, 1)
    unit = _DRAW if steps >= _DRAW else _FEW
    return max(steps // unit, 1) * unit


def _first_difference(one: torch.Tensor, two: torch.Tensor) -> int:
    """The first row in which the bits differ."""
    for start in range(0, len(one), _COMPARED):
        left, right = (
            np.ascontiguousarray(as_array(rows[start : start + _COMPARED])).reshape(-1).view(np.uint8)
            for rows in (one, two)
        )
        differs = np.flatnonzero(left != right)
        if len(differs):
            return start + int(differs[0]) // (len(left) // min(_COMPARED, len(one) - start))
    return 0

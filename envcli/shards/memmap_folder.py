"""A folder of memory-mapped rows, which a rollout is written straight into."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from tensordict import MemoryMappedTensor, TensorDict

from envcli.errors import ConfigError, StoreError
from envcli.folders.spare_room import SpareRoom
from envcli.keys import Key, nest
from envcli.memory.buffer import Layout, RolloutBuffer
from envcli.memory.groups import set_group_batch_sizes
from envcli.memory.mapped import remember
from envcli.shards import twins
from envcli.shards.entry import checked_key, entries_of, file_name
from envcli.shards.manifest import NAME, Manifest, Shard, checksum

__all__ = ["MemmapFolder"]

_TAKEN = {"meta.json", NAME}  # files beside the entries, so no folder can be called so
_SHOWN = 40  # characters of a key


class MemmapFolder:
    """A folder of memory-mapped rows, in the layout that ``TensorDict.load_memmap`` reads.

    One file an entry, ``next/observation.memmap`` for ``("next", "observation")``, rows one after the other. A rollout
    is written straight into the files; saving it afterwards is cutting the unused rows off and writing the manifest,
    so the manifest never lists what is not there. There is room for the manifest whatever fills the disk meanwhile.

    Args:
        folder: is made; must not hold a rollout yet.
        called: what is told to have too little room, in place of ``folder``.
        cure: what is told to do then.

    Raises:
        StoreError: the folder cannot be written, or holds something already.
    """

    def __init__(
        self, folder: Path | str, called: Path | None = None, cure: str = "Make room, or lower max_steps"
    ) -> None:
        self.folder = Path(folder)
        self._called, self._cure = called, cure
        self._sizes: dict[Key, int] = {}  # bytes of one row
        self._room = SpareRoom()  # for the manifest
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            taken = any(self.folder.iterdir())
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written ({error.strerror}). Choose another folder") from None
        if taken:
            raise StoreError(f"{self.folder}: is not empty. Choose another folder, or remove it")

    def allocate(self, layout: Layout, steps: int, batch_size: torch.Size) -> RolloutBuffer:
        """A buffer of ``steps`` rows of ``layout`` in files, and room for the manifest.

        Raises:
            StoreError: the disk has too little room for all of it; says how much is needed and how much is free. No
                folder is left then.
        """
        needed = SpareRoom.BYTES + steps * sum(math.prod(shape) * dtype.itemsize for shape, dtype in layout.values())
        free = shutil.disk_usage(self.folder).free
        try:
            if needed > free:
                raise StoreError(self._full(self.folder, needed, free))
            self._take_room()
            return RolloutBuffer.allocate(layout, steps, batch_size, self.place, time_first=True)
        except BaseException:
            self.discard()  # what was reserved by then is of no use
            raise

    def _take_room(self) -> None:
        try:
            self._room.take(self.folder)
        except OSError as error:
            raise StoreError(f"{self._called or self.folder}: cannot be written ({error.strerror})") from None

    def place(self, path: Key, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Zeros ``[time, *batch, *value]`` in a file of their own.

        The file is reserved on disk first: writing through a mapping of a sparse file kills the process with SIGBUS
        where the disk runs full.

        Raises:
            ConfigError: no file can be called like ``path``.
            StoreError: the disk is full, or cannot be written.
        """
        _require_storable(path)
        size = math.prod(shape) * dtype.itemsize
        self._sizes[path] = math.prod(shape[1:]) * dtype.itemsize
        file = self._file(path)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "xb") as stream:
                if size:
                    os.posix_fallocate(stream.fileno(), 0, size)
        except OSError as error:
            free = shutil.disk_usage(self.folder).free
            reason = (
                self._full(file, size, free)
                if free < size
                else f"{self._called or file}: cannot be written ({error.strerror})"
            )
            raise StoreError(reason) from None
        if not size:  # an empty file cannot be mapped
            return torch.zeros(shape, dtype=dtype)
        bits = np.dtype(f"u{dtype.itemsize}") if dtype.itemsize <= 8 else np.dtype("c16")
        mapped = np.memmap(file, dtype=bits, mode="r+", shape=shape)
        remember(mapped, file)  # so that workers write into it too
        return torch.from_numpy(mapped).view(dtype)

    def keep(self, buffer: RolloutBuffer) -> tuple[Key, ...]:
        """Cut the files to the filled rows of ``buffer``, and write tensordict's ``meta.json``. Nothing is copied.

        Returns the keys that no longer have a file of their own, because other rows say what they were: see
        :mod:`envcli.shards.twins`. The buffer keeps its memory.

        Raises:
            StoreError: the files cannot be written.
        """
        steps = buffer.filled
        self._room.give_back()
        try:
            for path in self._sizes.keys() - set(buffer):  # of an earlier rollout in the same memory
                self._file(path).unlink()
                del self._sizes[path]
            for path, size in self._sizes.items():
                os.truncate(self._file(path), steps * size)
            joined = tuple(path for path in self._sizes if self._joined(path, buffer))
            leaves = {
                path: self._mapped(path, buffer[path][:steps].shape, buffer[path].dtype)
                for path in self._sizes
                if path not in joined
            }
            kept = TensorDict(nest(leaves), batch_size=[steps, *buffer.batch_size])
            kept.names = ["time", *[None] * len(buffer.batch_size)]
            set_group_batch_sizes(kept, buffer.groups(leaves))
            kept.memmap(str(self.folder))
        except OSError as error:
            raise StoreError(f"{self.folder}: the rollout cannot be kept ({error.strerror})") from None
        return joined

    def _joined(self, path: Key, buffer: RolloutBuffer) -> bool:
        """Store ``path`` as rows of its twin at the root, if that can be and is worth it."""
        root, lead = twins.twin_of(path), len(buffer.batch_size)
        if root not in self._sizes:
            return False
        rows, following = buffer[root][: buffer.filled], buffer[path][: buffer.filled]
        where = twins.apart(rows, following, lead)
        if where is None:
            return False
        twins.write(self._file(root), self._file(path), following, where, lead)
        return True

    def finish(self, buffer: RolloutBuffer) -> Path:
        """:meth:`keep`, and write the manifest that ``load_rollout`` reads. Returns the folder.

        Raises:
            StoreError: the files cannot be written.
        """
        joined = self.keep(buffer)
        rows = {path: buffer[path][: buffer.filled] for path in self._sizes}
        entries, steps = entries_of(rows), buffer.filled
        size = steps * sum(entry.row_bytes for entry in entries)
        sums, keys = tuple(map(checksum, rows.values())), list(rows)
        whole = Shard(".", steps, size, sums, tuple(map(keys.index, joined)))
        groups = tuple((group, tuple(part)) for group, part in buffer.groups(rows))
        batch = tuple(buffer.batch_size)
        manifest = Manifest(batch, entries, (whole,), buffer.steps, buffer.steps, finished=True, groups=groups)
        manifest.write(self.folder, sync=False)
        return self.folder

    def discard(self) -> None:
        """Remove the folder and everything in it."""
        self._room.give_back()
        shutil.rmtree(self.folder)

    def _mapped(self, path: Key, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
        if not math.prod(shape):
            return torch.zeros(shape, dtype=dtype)
        mapped: torch.Tensor = MemoryMappedTensor.from_filename(str(self._file(path)), dtype=dtype, shape=shape)
        return mapped

    def _file(self, path: Key) -> Path:
        *folders, name = map(file_name, path)
        return self.folder.joinpath(*folders, f"{name}.memmap")

    def _full(self, where: Path, needed: int, free: int) -> str:
        return f"{self._called or where}: needs {needed:,} bytes, but the disk has {free:,} free. {self._cure}"


def _require_storable(path: Key) -> None:
    try:
        checked_key(path)
        if taken := _TAKEN.intersection(path[:-1]):
            raise ValueError(f"found {taken.pop()!r}, which is the name of another file there")
    except (TypeError, ValueError) as error:
        shown = ".".join(path)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        raise ConfigError(
            f"{shown}: no file can be called like this entry: {error}. Rename it (transforms=rename), or keep nothing: "
            "recorder=none"
        ) from None

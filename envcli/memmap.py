"""Rollouts in files: memory-mapped while they are made, and read back without loading."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch
from tensordict import MemoryMappedTensor, TensorDict, TensorDictBase

from envcli.buffer import Layout, RolloutBuffer
from envcli.errors import StoreError
from envcli.keys import Key, nest
from envcli.shared_memory import remember

__all__ = ["MemmapFolder", "load_rollout"]

_MANIFEST = "meta.json"


class MemmapFolder:
    """A folder of memory-mapped rows, in the layout that ``TensorDict.load_memmap`` reads.

    One file an entry, ``next/observation.memmap`` for ``("next", "observation")``, rows one after the other. A rollout
    is written straight into the files; saving it afterwards is cutting the unused rows off and writing the manifest,
    so the manifest never lists what is not there.

    Args:
        folder: is made; must not hold a rollout yet.

    Raises:
        StoreError: the folder cannot be written, or holds something already.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._sizes: dict[Key, int] = {}  # bytes of one row
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            taken = any(self.folder.iterdir())
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written ({error.strerror}). Choose another folder") from None
        if taken:
            raise StoreError(f"{self.folder}: is not empty. Choose another folder, or remove it")

    def allocate(self, layout: Layout, steps: int, batch_size: torch.Size) -> RolloutBuffer:
        """A buffer of ``steps`` rows of ``layout`` in files.

        Raises:
            StoreError: the disk has too little room for all of it; says how much is needed and how much is free. No
                folder is left then.
        """
        needed = steps * sum(math.prod(shape) * dtype.itemsize for shape, dtype in layout.values())
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise StoreError(_full(self.folder, needed, free))
        try:
            return RolloutBuffer.allocate(layout, steps, batch_size, self.place, time_first=True)
        except BaseException:
            self.discard()  # what was reserved by then is of no use
            raise

    def place(self, path: Key, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Zeros ``[time, *batch, *value]`` in a file of their own.

        The file is reserved on disk first: writing through a mapping of a sparse file kills the process with SIGBUS
        where the disk runs full.
        """
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
            reason = _full(file, size, free) if free < size else f"{file}: cannot be written ({error.strerror})"
            raise StoreError(reason) from None
        if not size:  # an empty file cannot be mapped
            return torch.zeros(shape, dtype=dtype)
        bits = np.dtype(f"u{dtype.itemsize}") if dtype.itemsize <= 8 else np.dtype("c16")
        mapped = np.memmap(file, dtype=bits, mode="r+", shape=shape)
        remember(mapped, file)  # so that workers write into it too
        return torch.from_numpy(mapped).view(dtype)

    def finish(self, buffer: RolloutBuffer) -> Path:
        """Keep the filled rows of ``buffer``, and write the manifest. Nothing is copied. Returns the folder.

        Raises:
            StoreError: the files cannot be written.
        """
        steps = buffer.filled
        try:
            for path in self._sizes.keys() - set(buffer):  # of an earlier rollout in the same memory
                self._file(path).unlink()
                del self._sizes[path]
            for path, size in self._sizes.items():
                os.truncate(self._file(path), steps * size)
            leaves = {path: self._mapped(path, buffer[path][:steps].shape, buffer[path].dtype) for path in self._sizes}
            kept = TensorDict(nest(leaves), batch_size=[steps, *buffer.batch_size])
            kept.names = ["time", *[None] * len(buffer.batch_size)]
            kept.memmap(str(self.folder))
        except OSError as error:
            raise StoreError(f"{self.folder}: the rollout cannot be kept ({error.strerror})") from None
        return self.folder

    def discard(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.folder)

    def _mapped(self, path: Key, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
        if not math.prod(shape):
            return torch.zeros(shape, dtype=dtype)
        mapped: torch.Tensor = MemoryMappedTensor.from_filename(str(self._file(path)), dtype=dtype, shape=shape)
        return mapped

    def _file(self, path: Key) -> Path:
        *folders, name = map(_file_name, path)
        return self.folder.joinpath(*folders, f"{name}.memmap")


def load_rollout(path: Path | str) -> TensorDictBase:
    """A saved rollout, memory-mapped: nothing is read before it is asked for.

    Args:
        path: a run folder, or the rollout folder in it.

    Returns:
        ``[*batch, time]``, as ``env.rollout`` returned it.

    Raises:
        StoreError: there is no finished rollout, or a file of it is missing or cut short; names it.
    """
    folder = Path(path)
    if not (folder / _MANIFEST).is_file() and (folder / "rollout").is_dir():
        folder = folder / "rollout"
    if not (folder / _MANIFEST).is_file():
        if any(folder.glob("*.memmap")):
            raise StoreError(f"{folder}: this rollout was not finished, its rows cannot be told from empty ones")
        raise StoreError(f"{folder}: no rollout here. Expected a run folder of `envcli rollout`, or the rollout/ in it")
    try:
        _check_files(folder)
        saved = TensorDict.load_memmap(str(folder))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{folder}: the rollout cannot be read ({error})") from error
    batch = saved.batch_size[1:]
    if not batch:
        return saved
    leaves = {
        key if isinstance(key, tuple) else (key,): saved.get(key).movedim(0, len(batch))
        for key in saved.keys(include_nested=True, leaves_only=True)
    }
    rollout = TensorDict(nest(leaves), batch_size=[*batch, len(saved)])
    rollout.names = [*[None] * len(batch), "time"]
    return rollout


def _check_files(folder: Path) -> None:
    """Every file that the manifest lists is there and whole: ``TensorDict.load_memmap`` passes over one that is not."""
    for name, entry in json.loads((folder / _MANIFEST).read_text()).items():
        if not isinstance(entry, dict):
            continue
        if "dtype" not in entry:
            _check_files(folder / _file_name(name))
            continue
        file = folder / f"{_file_name(name)}.memmap"
        expected = math.prod(entry["shape"]) * getattr(torch, entry["dtype"].removeprefix("torch.")).itemsize
        found = file.stat().st_size if file.is_file() else None
        if found != expected:
            raise StoreError(
                f"{file}: expected {expected:,} bytes, found {'no file' if found is None else f'{found:,}'}"
            )


def _file_name(name: str) -> str:
    """A part of a key as tensordict spells it on disk: dm_control's composer has keys such as ``walker/joints``."""
    return quote(name, safe="")


def _full(where: Path, needed: int, free: int) -> str:
    return f"{where}: needs {needed:,} bytes, the disk has {free:,} free. Make room, or lower max_steps"

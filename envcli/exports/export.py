"""The contract of an export format."""

from __future__ import annotations

import errno
import functools
import json
import math
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envcli.keys import Key
from envcli.memory.buffer import Array
from envcli.shards.entry import Entry
from envcli.shards.manifest import Shard
from envcli.shards.sharded_rollout import ShardedRollout

__all__ = ["BLOCK", "Export", "literal", "numbers", "require_room", "spelt", "telling", "trajectories", "windows"]

BLOCK = 2**24  # bytes in memory at a time
_OPEN = 4096  # entries of shards


class Export(ABC):
    """A format. Whatever the size of the rollout, it is written with a fixed amount of memory.

    Args:
        about: what is known of the run, for formats that can say it: ``env``, ``seed``, ``policy``, ``envcli``,
            and whether it is ``complete``, of how many ``planned`` steps.
        specs: gives the specs of one env, ``{"observation": ..., "action": ...}``, at the price of building it; and
            under ``starts`` the first numbers of choices whose simulator does not count them from 0, by their paths;
            and under ``env_spec`` gymnasium's own words for it, JSON, where it is an env of gymnasium as it is.

    Raises:
        MissingDependency: the format's library is not installed.
    """

    suffix = ""

    def __init__(self, about: Mapping[str, Any], specs: Callable[[], Mapping[str, Any]]) -> None:
        self.about = about
        self.specs = specs
        self._example: Key = ("next", "observation")  # what a line to read it names

    def place(self, folder: Path, to: Path | None, inside: bool = False) -> Path:
        """Where it goes: ``to``, or a file in it if it is a folder or ``inside``; else one in the run ``folder``."""
        inside = inside or to is None or to.is_dir()
        return (to or folder) / f"rollout{self.suffix}" if inside else to or folder

    def refusal(self, path: Path) -> str:
        """Why what stands at ``path`` is not to be replaced, after its name; empty where it may be."""
        return "" if path.is_file() or (path.is_symlink() and not path.exists()) else "is not a file, expected one"

    @abstractmethod
    def write(self, data: ShardedRollout, path: Path) -> None:
        """Write ``data`` as ``path``, which is not there yet."""

    def cure(self, path: Path) -> str:
        """What to type to look at it."""
        return ""


def spelt(key: Key, between: str, taken: str = "") -> str:
    """``key`` in one word, its parts joined by ``between``: no two keys are spelt alike.

    Within a part ``between``, ``%``, what cannot be printed, and what else is ``taken`` become ``%`` and two digits.

    >>> spelt(("next", "walker/joints"), "/"), spelt(("next", "walker/joints"), ".")
    ('next/walker%2Fjoints', 'next.walker/joints')
    """
    signs = {ord(sign): f"%{ord(sign):02X}" for sign in (*map(chr, range(32)), "%", *between, *taken)}
    return between.join(part.translate(signs) for part in key)


def literal(text: str | Path) -> str:
    """``text`` as Python reads it, in double quotes, whatever it holds.

    >>> print(literal('my "runs"'))
    "my \\"runs\\""
    """
    return json.dumps(str(text), ensure_ascii=False)


def telling(data: ShardedRollout) -> Key:
    """The entry that an example names: what a step leads to, the observation if one is called so."""
    keys = [entry.key for entry in data.manifest.entries]
    following = [key for key in keys if key[0] == "next"]
    return next((key for key in following if key[1:] == ("observation",)), (following or keys)[0])


def numbers(rows: torch.Tensor) -> Array:
    """``rows`` as numpy; bfloat16, which nobody else knows, as float32."""
    array: Array = (rows.float() if rows.dtype == torch.bfloat16 else rows).numpy()
    return array


def require_room(path: Path, size: int) -> None:
    """Raise OSError unless the disk has ``size`` bytes free beside ``path``: HDF5 crashes where it cannot end files."""
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise OSError(errno.ENOSPC, f"needs {size:,} bytes, but the disk has {free:,} free")


def windows(data: ShardedRollout, entry: Entry) -> Iterator[Array]:
    """``[time, *batch, *value]`` of an entry, some megabytes at a time, in order."""
    for shard, window in _windows(data, entry.row_bytes):
        yield numbers(data.manifest.rows(data.folder, shard, entry)[window])


def trajectories(data: ShardedRollout, *entries: Entry) -> Iterator[tuple[tuple[int, ...], Iterator[dict[Key, Array]]]]:
    """Env after env, its index in the batch and windows of its steps, in order: ``[time, *value]`` of ``entries``.

    Of all of them where none is named.
    """
    rows, chosen = _rows_of(data), entries or data.manifest.entries
    envs = max(1, math.prod(data.manifest.batch_size))

    def steps_of(env: tuple[int, ...]) -> Iterator[dict[Key, Array]]:
        for shard, window in _windows(data, sum(entry.row_bytes for entry in chosen) // envs):
            index: Any = (window, *env)
            yield {entry.key: numbers(rows(shard, entry)[index]) for entry in chosen}

    for env in np.ndindex(*data.manifest.batch_size):
        yield env, steps_of(env)


def _windows(data: ShardedRollout, step_bytes: int) -> Iterator[tuple[Shard, slice]]:
    """Stretches of each shard that take a ``BLOCK``, or less."""
    steps = max(1, BLOCK // max(step_bytes, 1))
    for shard in data.manifest.shards:
        for start in range(0, shard.steps, steps):
            yield shard, slice(start, start + steps)


def _rows_of(data: ShardedRollout) -> Callable[[Shard, Entry], torch.Tensor]:
    """Entries that stay mapped from env to env: what stands once on disk is put together as they are."""

    @functools.lru_cache(maxsize=_OPEN)
    def rows(shard: Shard, entry: Entry) -> torch.Tensor:
        return data.manifest.rows(data.folder, shard, entry)

    return rows

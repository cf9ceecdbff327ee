"""The contract of an export format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envcli.buffer import Array
from envcli.keys import Key
from envcli.shards.entry import Entry
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.specs import Composite

__all__ = ["Export", "blocks", "numbers", "trajectories"]

_BLOCK = 2**24  # bytes in memory at a time


class Export(ABC):
    """A format. Whatever the size of the rollout, it is written with a fixed amount of memory.

    Args:
        about: what is known of the run, for formats that can say it: ``env``, ``seed``, ``policy``, ``envcli``.
        specs: gives the specs of one env, ``{"observation": ..., "action": ...}``, at the price of building it.

    Raises:
        MissingDependency: the format's library is not installed.
    """

    suffix = ""

    def __init__(self, about: Mapping[str, Any], specs: Callable[[], Mapping[str, Composite]]) -> None:
        self.about = about
        self.specs = specs

    def place(self, folder: Path, to: Path | None) -> Path:
        """Where it goes: ``to``, or a file in the run ``folder``."""
        return folder / f"rollout{self.suffix}" if to is None else to

    @abstractmethod
    def write(self, data: ShardedRollout, path: Path) -> None:
        """Write ``data`` as ``path``, which is not there yet."""

    def cure(self, path: Path) -> str:
        """What to type to look at it."""
        return ""


def numbers(rows: torch.Tensor) -> Array:
    """``rows`` as numpy; bfloat16, which nobody else knows, as float32."""
    array: Array = (rows.float() if rows.dtype == torch.bfloat16 else rows).numpy()
    return array


def blocks(data: ShardedRollout, entry: Entry, env: tuple[int, ...]) -> Iterator[Array]:
    """``[time, *value]`` of an entry of one env of the batch, a few megabytes at a time, in order."""
    step = max(1, _BLOCK // max(entry.row_bytes, 1))
    for shard in data.manifest.shards:
        rows = data.manifest.rows(data.folder, shard, entry)
        for start in range(0, shard.steps, step):
            index: Any = (slice(start, start + step), *env)
            yield numbers(rows[index])


def trajectories(data: ShardedRollout) -> Iterator[tuple[tuple[int, ...], Iterator[dict[Key, Array]]]]:
    """Env after env, its index in the batch and windows of its steps, ``[time, *value]`` of every entry, in order."""
    steps = max(1, _BLOCK // max(data.manifest.row_bytes, 1))
    for env in np.ndindex(*data.manifest.batch_size):
        yield env, _windows(data, env, steps)


def _windows(data: ShardedRollout, env: tuple[int, ...], steps: int) -> Iterator[dict[Key, Array]]:
    manifest = data.manifest
    for shard in manifest.shards:
        rows = {entry.key: manifest.rows(data.folder, shard, entry) for entry in manifest.entries}
        for start in range(0, shard.steps, steps):
            index: Any = (slice(start, start + steps), *env)
            yield {key: numbers(values[index]) for key, values in rows.items()}

"""Saved rollouts, memory-mapped: nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensordict import TensorDictBase

from envcli.errors import MissingRun, StoreError
from envcli.folders.json_file import read_json
from envcli.keys import Key
from envcli.shards.entry import DEEPEST, file_name
from envcli.shards.manifest import NAME, Manifest
from envcli.shards.sharded_rollout import ShardedRollout

__all__ = ["load_rollout", "read_manifest", "rollout_folder"]

_META = "meta.json"  # tensordict's own: one a folder


def load_rollout(path: Path | str, verify: bool = False) -> TensorDictBase | ShardedRollout:
    """A saved rollout, memory-mapped: nothing is read before it is asked for, and nothing is written.

    What is changed in the tensors that it gives stays in memory: the recording is as it was when it is loaded again.

    Args:
        path: a run folder, or the rollout folder in it.
        verify: read all of it now, and hold it against the checksums that were written with it.

    Returns:
        ``[*batch, time]``, as ``env.rollout`` returned it. A rollout that was streamed in shards
        (``total_steps=...``) may be larger than memory: it comes as an :class:`~envcli.ShardedRollout`, which is
        indexed like a TensorDict and gives TensorDicts; of one that was killed, all shards that are whole.

    Raises:
        StoreError: there is no finished rollout, a file of it is missing or cut short, or, with ``verify``, damaged;
            names the file, what was found and what was expected.
    """
    folder = rollout_folder(Path(path))
    manifest = read_manifest(folder)
    for shard in manifest.shards:
        manifest.require_whole(folder, shard)
        if verify:
            manifest.require_unchanged(folder, shard)
    if manifest.one_piece:
        return manifest.tensordict(folder, manifest.shards[0])
    return ShardedRollout(folder, manifest)


def rollout_folder(path: Path) -> Path:
    """``path``, or the rollout folder in it if it is a run folder.

    Raises:
        MissingRun: there is no rollout.
        StoreError: there is one whose rows nobody counted.
    """
    for folder in (path, path / "rollout"):
        if (folder / NAME).is_file() or (folder / _META).is_file():
            return folder
        if any(folder.glob("*.memmap")):
            raise StoreError(f"{folder}: this rollout was not finished, and its rows cannot be told from empty ones")
    raise MissingRun(f"{path}: no rollout here. Expected a run folder of `envcli rollout`, or the rollout/ in it")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a rollout folder; of one that ``TensorDict.memmap`` saved, what its ``meta.json`` says.

    Raises:
        StoreError: it cannot be read.
    """
    if (folder / NAME).is_file():
        return Manifest.read(folder)
    try:
        shape = read_json(folder / _META)["shape"]
        steps, *batch = shape
        groups: list[tuple[Key, list[int]]] = []
        entries = list(_entries(folder, (), groups))
        row = Manifest.of(_saved(entries, batch, 0, 0)).row_bytes
        counted = [(group, sizes[len(shape) :]) for group, sizes in groups if len(sizes) > len(shape)]
        return Manifest.of({**_saved(entries, batch, steps, steps * row), "groups": counted})
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise StoreError(f"{folder / _META}: the rollout cannot be read ({error})") from None


def _saved(entries: list[dict[str, Any]], batch: list[int], steps: int, size: int) -> dict[str, Any]:
    """A rollout without checksums as a manifest says it."""
    whole = {"name": ".", "steps": steps, "bytes": size, "checksums": []}
    about = {"batch_size": batch, "planned": steps, "shard_steps": steps, "finished": True}
    return {"entries": entries, "shards": [whole], **about}


def _entries(folder: Path, prefix: Key, groups: list[tuple[Key, list[int]]]) -> Iterator[dict[str, Any]]:
    """What tensordict's ``meta.json`` lists, and to ``groups`` what nested TensorDicts count, from the outside in.

    Its own ``load_memmap`` would unpickle what lies beside.
    """
    if len(prefix) >= DEEPEST:  # folders can lead back into themselves
        raise ValueError(f"keys of more than {DEEPEST} parts")
    listed = read_json(folder.joinpath(*map(file_name, prefix)) / _META)
    if prefix:
        groups.append((prefix, listed["shape"]))
    for name, found in listed.items():
        if not isinstance(found, dict):
            continue
        if name in (".", ".."):
            raise ValueError(f"key {name!r}")
        if "dtype" in found:
            _, *shape = found["shape"]
            yield {"key": [*prefix, name], "dtype": found["dtype"].removeprefix("torch."), "shape": shape}
        else:
            yield from _entries(folder, (*prefix, name), groups)

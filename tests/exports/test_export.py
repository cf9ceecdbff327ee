"""What every format stands on: a rollout in pieces that fit into memory."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envcli.envs.stream import pieces
from envcli.exports import export
from envcli.exports.export import Export, numbers, trajectories, windows
from envcli.memory.buffer import Array
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.entry import Entry
from envcli.shards.loading import read_manifest
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.testing.toys import CountingEnv

STEPS, SHARD = 25, 10


@pytest.fixture(scope="module", params=[(), (2,), (2, 3)], ids=["single", "batch", "batch of batches"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ShardedRollout:
    """Shards of 10, 10 and 5 steps, in episodes of 7."""
    folder, env = tmp_path_factory.mktemp("data") / "rollout", CountingEnv(7, batch_size=request.param)
    stream = MemmapRecorder(folder).stream(env, STEPS, SHARD)
    for _ in pieces(env, STEPS, stream):
        pass
    stream.finish()
    return ShardedRollout(folder, read_manifest(folder))


def entry_of(data: ShardedRollout, *key: str) -> Entry:
    return next(entry for entry in data.manifest.entries if entry.key == key)


def whole(data: ShardedRollout, entry: Entry) -> Array:
    """``[time, *batch, *value]``."""
    found: Array = data.to_tensordict().get(entry.key).movedim(len(data.manifest.batch_size), 0).numpy()
    return found


@pytest.mark.parametrize("steps", [1, 4, 10, 1000])
def test_windows_are_all_of_an_entry_in_order_of_time(
    data: ShardedRollout, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry in data.manifest.entries:
        monkeypatch.setattr(export, "BLOCK", steps * entry.row_bytes)
        found = list(windows(data, entry))
        assert np.array_equal(np.concatenate(found), whole(data, entry))
        assert max(map(len, found)) == min(steps, SHARD), "no window is of more than a block, or of two shards"


def test_a_row_that_is_larger_than_a_block_is_a_window(data: ShardedRollout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BLOCK", 1)
    assert [len(window) for window in windows(data, entry_of(data, "observation"))] == [1] * STEPS


def test_trajectories_come_env_after_env(data: ShardedRollout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BLOCK", 3 * 8)
    entries = entry_of(data, "observation"), entry_of(data, "next", "reward")
    seen = []
    for env, steps in trajectories(data, *entries):
        index: Any = (slice(None), *env)
        parts = list(steps)
        for entry in entries:
            found = np.concatenate([part[entry.key] for part in parts])
            assert np.array_equal(found, whole(data, entry)[index])
        assert max(len(part[entry.key]) for part in parts for entry in entries) == 3, "a block of one env's steps"
        seen.append(env)
    assert seen == list(itertools.product(*map(range, data.manifest.batch_size)))


def test_where_none_is_named_all_entries_come(data: ShardedRollout) -> None:
    _, steps = next(trajectories(data))
    assert set(next(steps)) == {entry.key for entry in data.manifest.entries}


def test_numbers_that_nobody_else_knows_become_floats() -> None:
    found = numbers(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    assert found.dtype == np.float32
    assert found.tolist() == [1.5, -2.0]
    rows = torch.arange(3, dtype=torch.int16)
    assert np.shares_memory(numbers(rows), rows.numpy())


def test_it_goes_into_the_run_folder_unless_told_otherwise() -> None:
    class Toy(Export):
        suffix = ".toy"

        def write(self, data: ShardedRollout, path: Path) -> None:
            raise NotImplementedError

    export = Toy({}, dict)
    assert export.place(Path("runs/a"), None) == Path("runs/a/rollout.toy")
    assert export.place(Path("runs/a"), Path("b.x")) == Path("b.x")

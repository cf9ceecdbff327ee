"""Each format, read back by its own library, holds what the rollout holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from envcli.backends.gym import GymWrapper
from envcli.envs.env import Env
from envcli.envs.stream import pieces
from envcli.errors import ConfigError
from envcli.exports.export import Export
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.loading import read_manifest
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.testing.gym_toys import ExoticGym
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.vocabulary.registry import find

ABOUT = {"env": "Count/ing-v1", "policy": "random", "seed": 3, "envcli": "0"}


@pytest.fixture(scope="module", params=[(), (2,)], ids=["single", "batch"])
def env(request: pytest.FixtureRequest) -> Env:
    return CountingEnv(7, batch_size=request.param)


@pytest.fixture(scope="module")
def data(env: Env, tmp_path_factory: pytest.TempPathFactory) -> ShardedRollout:
    """50 steps in 4 shards, in episodes of 7."""
    folder = tmp_path_factory.mktemp("data") / "rollout"
    stream = MemmapRecorder(folder).stream(env, 50, 16)
    for _ in pieces(env, 50, stream):
        pass
    stream.finish()
    return ShardedRollout(folder, read_manifest(folder))


def exported(name: str, env: Env, data: ShardedRollout, folder: Path) -> Path:
    single = CountingEnv(7)
    specs = {"observation": single.observation_spec, "action": single.full_action_spec}
    export: Export = find("exports", name)(ABOUT, lambda: specs)
    path = export.place(folder, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    export.write(data, path)
    assert export.cure(path)
    return path


def require_same(found: Any, data: ShardedRollout, name: Any) -> None:
    """``found(key)`` is the entry under ``key``."""
    whole = data.to_tensordict()
    for key in whole.keys(True, True):
        expected = whole[key].numpy()
        assert found(name(key)).dtype == expected.dtype
        assert np.array_equal(found(name(key)), expected), key


def slashed(key: Any) -> str:
    return key if isinstance(key, str) else "/".join(key)


def test_npz(env: Env, data: ShardedRollout, tmp_path: Path) -> None:
    with np.load(exported("npz", env, data, tmp_path), allow_pickle=False) as read:
        assert len(read.files) == len(data.keys(True, True))
        require_same(lambda key: read[key], data, slashed)


def test_hdf5(env: Env, data: ShardedRollout, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(exported("hdf5", env, data, tmp_path)) as read:
        assert read.attrs["env"] == "Count/ing-v1"
        require_same(lambda key: read[key][...], data, slashed)


def test_parquet(env: Env, data: ShardedRollout, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    read = parquet.read_table(exported("parquet", env, data, tmp_path))
    whole, envs = data.to_tensordict().reshape(-1), data.numel() // 50
    assert read.num_rows == 50 * envs
    for key in whole.keys(True, True):
        name = key if isinstance(key, str) else ".".join(key)
        assert np.array_equal(np.array(read[name].to_pylist()).ravel(), whole[key].numpy().ravel()), key
    assert read["env"].to_pylist() == [i for i in range(envs) for _ in range(50)]
    assert read["step"].to_pylist() == [t % 7 for _ in range(envs) for t in range(50)]
    assert read["episode"].to_pylist() == [t // 7 for _ in range(envs) for t in range(50)]
    said = json.loads(read.schema.metadata[b"envcli"])
    assert (said["seed"], said["shapes"]["next.reward"]) == (3, [1])


def test_minari(env: Env, data: ShardedRollout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    minari = pytest.importorskip("minari")
    exported("minari", env, data, tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    read = minari.load_dataset("envcli/count-ing-v1/random-v0")
    envs = data.numel() // 50
    assert (read.total_episodes, read.total_steps) == (8 * envs, 50 * envs)
    whole = data.to_tensordict().reshape(envs, 50)
    first, last = read[0], read[7]
    assert np.array_equal(first.observations["observation"][:-1], whole["observation"][0, :7].numpy())
    assert np.array_equal(first.observations["observation"][-1], whole["next", "observation"][0, 6].numpy())
    assert np.array_equal(first.rewards, whole["next", "reward"][0, :7].flatten().numpy())
    assert (first.terminations[-1], first.truncations[-1], len(last.rewards)) == (True, False, 1)
    assert last.truncations[-1]  # the rollout cut it off
    assert all(read.action_space.contains(action) for action in first.actions)
    assert read.observation_space.contains({name: rows[0] for name, rows in first.observations.items()})


@pytest.mark.slow
@pytest.mark.parametrize("counts", [[3, 3], [2, 3]])
def test_several_choices_are_several_in_minari(
    counts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minari = pytest.importorskip("minari")
    native = ExoticGym(gymnasium.spaces.Box(-1, 1, (1,), np.float32), gymnasium.spaces.MultiDiscrete(counts), limit=50)
    env = GymWrapper(native)
    recorder = MemmapRecorder(tmp_path / "rollout")
    env.rollout(20, out=recorder.buffer(env, 20))
    recorder.finish()
    saved = ShardedRollout(tmp_path / "rollout", read_manifest(tmp_path / "rollout"))
    specs = {"observation": env.observation_spec, "action": env.full_action_spec}
    export: Export = find("exports", "minari")(ABOUT, lambda: specs)
    export.write(saved, export.place(tmp_path, None))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    read = minari.load_dataset("envcli/count-ing-v1/random-v0")
    assert read.action_space == gymnasium.spaces.MultiDiscrete(counts)
    episode = read[0]
    assert all(read.action_space.contains(action) for action in episode.actions)
    assert np.array_equal(episode.actions, native.actions)


def test_minari_show_describes_it(data: ShardedRollout, env: Env, tmp_path: Path) -> None:
    for name in ("minari", "h5py", "typer"):
        pytest.importorskip(name)
    exported("minari", env, data, tmp_path)
    command = [sys.executable, "-c", "from minari.cli import app; app()", "show", "envcli/count-ing-v1/random-v0"]
    environ = {**os.environ, "MINARI_DATASETS_PATH": str(tmp_path / "minari")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=200, check=True)
    assert "envcli/count-ing-v1/random-v0" in done.stdout
    assert f"{data.numel()}" in done.stdout


def test_what_nobody_else_knows_becomes_float32(tmp_path: Path) -> None:
    from envcli.exports.export import numbers

    assert numbers(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> ShardedRollout:
    folder, env = tmp_path_factory.mktemp("agents") / "rollout", NestedEnv()
    stream = MemmapRecorder(folder).stream(env, 5, 5)
    for _ in pieces(env, 5, stream):
        pass
    stream.finish()
    return ShardedRollout(folder, read_manifest(folder))


@pytest.mark.parametrize(("name", "start"), [("npz", "np.load"), ("hdf5", "h5py.File")])
def test_the_line_to_read_it_names_an_entry_that_is_there(
    name: str, start: str, agents: ShardedRollout, tmp_path: Path
) -> None:
    pytest.importorskip("h5py")
    export: Export = find("exports", name)(ABOUT, dict)
    path = export.place(tmp_path, None)
    export.write(agents, path)
    assert export.cure(path).startswith(start)
    key = tuple(export.cure(path).split('"')[-2].split("/"))
    assert key[0] == "next"
    assert key in {entry.key for entry in agents.manifest.entries}


@pytest.mark.parametrize(("name", "module"), [("npz", "numpy"), ("hdf5", "h5py"), ("parquet", "pyarrow.parquet")])
def test_the_line_to_read_it_is_python_whatever_the_names(name: str, module: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    env = CountingEnv(7, group=('say "hi"',))
    recorder = MemmapRecorder(tmp_path / "rollout")
    env.rollout(5, break_when_any_done=False, out=recorder.buffer(env, 5))
    recorder.finish()
    export: Export = find("exports", name)(ABOUT, dict)
    path = export.place(tmp_path, tmp_path / f'it\'s \\ "mine"{export.suffix}')
    export.write(ShardedRollout(tmp_path / "rollout", read_manifest(tmp_path / "rollout")), path)
    known = {"np": np, **{part: sys.modules.get(part) for part in ("h5py", "pyarrow")}}
    assert len(eval(export.cure(path), known)) == 5


@pytest.mark.parametrize(("name", "module"), [("hdf5", "h5py"), ("minari", "minari")])
def test_a_disk_that_is_nearly_full_is_said_before_hdf5_crashes_on_it(
    name: str, module: str, data: ShardedRollout, env: Env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(module)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=9_000))
    with pytest.raises(OSError, match=r"needs [\d,]+ bytes, but the disk has 9,000 free"):
        exported(name, env, data, tmp_path)


def test_parquet_is_read_by_what_wrote_it(env: Env, data: ShardedRollout, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = exported("parquet", env, data, tmp_path)
    found = eval(find("exports", "parquet")(ABOUT, dict).cure(path), {"pyarrow": sys.modules["pyarrow"]})
    assert found.num_rows == parquet.read_metadata(path).num_rows


@pytest.mark.parametrize("name", ["npz", "hdf5", "parquet", "minari"])
def test_a_colon_in_a_relative_path_is_no_protocol(
    name: str, env: Env, data: ShardedRollout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"hdf5": "h5py", "parquet": "pyarrow", "minari": "minari"}.get(name, "numpy"))
    monkeypatch.chdir(tmp_path)
    assert exported(name, env, data, Path("run:12")).resolve().is_relative_to(tmp_path / "run:12")


def test_minari_refuses_a_reward_for_each_agent(agents: ShardedRollout, tmp_path: Path) -> None:
    pytest.importorskip("minari")
    export: Export = find("exports", "minari")(ABOUT, dict)
    with pytest.raises(ConfigError, match=r"Minari has one reward per step, this env has .*reward \["):
        export.write(agents, export.place(tmp_path, None))


def box(*shape: int) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(-9, 9, shape, np.float32)


ODD: dict[str, Any] = {
    **{"a.b": box(1), "a": gymnasium.spaces.Dict({"b": box(1)}), "a%2Eb": box(2)},
    **{"x/y": box(2), "x": gymnasium.spaces.Dict({"y": box(2)}), "y.npy": box(1), "y": box(1)},
    **{"env": box(1), "episode": box(3), "step": box(1), ".step": box(1), "none": box(0), "so wide": box(1)},
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Env, ShardedRollout]:
    """Keys that joined by a dot or a slash are the same, that a table has columns of, and one of an empty entry."""
    folder = tmp_path_factory.mktemp("odd") / "rollout"
    env = GymWrapper(ExoticGym(gymnasium.spaces.Dict(ODD), box(1), limit=4))
    stream = MemmapRecorder(folder).stream(env, 10, 4)
    for _ in pieces(env, 10, stream):
        pass
    stream.finish()
    return env, ShardedRollout(folder, read_manifest(folder))


@pytest.mark.parametrize("name", ["npz", "hdf5", "parquet"])
def test_every_entry_is_kept_whatever_it_is_called(name: str, odd: tuple[Env, ShardedRollout], tmp_path: Path) -> None:
    for library in ("h5py", "pyarrow"):
        pytest.importorskip(library)
    data = odd[1]
    export: Export = find("exports", name)(ABOUT, dict)
    path = export.place(tmp_path, None)
    export.write(data, path)
    found: dict[str, Any] = {}
    if name == "npz":
        with np.load(path) as read:
            found = {key: read[key] for key in read.files}
    elif name == "hdf5":
        import h5py

        with h5py.File(path) as read:
            read.visititems(lambda key, node: found.update({key: node[...]} if hasattr(node, "dtype") else {}))
    else:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        found = {key: np.array(table[key].to_pylist()) for key in table.column_names}
        assert found.pop("step").tolist() == [t % 4 for t in range(10)]
        assert found.pop("episode").tolist() == [t // 4 for t in range(10)]
        assert found.pop("env").tolist() == [0] * 10
    whole = data.to_tensordict()
    expected = sorted(whole[key].numpy().ravel().tolist() for key in whole.keys(True, True))
    assert sorted(rows.ravel().tolist() for rows in found.values()) == expected
    spellings = {
        "npz": {"a.b", "a/b", "a%252Eb", "x%2Fy", "x/y", "y%2Enpy", "y", "step", "next/step", "so wide"},
        "hdf5": {"a.b", "a/b", "a%252Eb", "x%2Fy", "x/y", "y.npy", "y", "step", "next/step", "so%20wide"},
        "parquet": {"a%2Eb", "a.b", "a%252Eb", "x/y", "x.y", "y%2Enpy", "y", ".step", "next.step", "so wide"},
    }
    assert spellings[name] <= found.keys()


def test_minari_keeps_every_observation_whatever_it_is_called(
    odd: tuple[Env, ShardedRollout], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5py")
    minari = pytest.importorskip("minari")
    env, data = odd
    specs = {"observation": env.observation_spec, "action": env.full_action_spec}
    export: Export = find("exports", "minari")(ABOUT, lambda: specs)
    export.write(data, export.place(tmp_path, None))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    read = minari.load_dataset("envcli/count-ing-v1/random-v0")
    seen = read[0].observations
    assert len(seen) == len(read.observation_space) == 13
    whole = data.to_tensordict()
    for key, name in (("a.b", "a%2Eb"), (("a", "b"), "a.b"), ("x/y", "x%2Fy"), (("x", "y"), "x.y"), ("step", "step")):
        assert np.array_equal(seen[name][:4], whole[key][:4].numpy()), key
    assert read.observation_space.contains({name: rows[0] for name, rows in seen.items()})

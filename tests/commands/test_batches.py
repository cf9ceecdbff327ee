"""The commands with many envs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import envcli
from tests.commands.test_rollout import has_rows
from tests.conftest import ROOT, Command

pytestmark = pytest.mark.usefixtures("fork_server")


def read(path: Path) -> Any:  # Any: whatever the file holds
    return json.loads(path.read_text())


def test_a_parallel_rollout_counts_the_steps_of_all_envs_and_is_kept(cli: Command, tmp_path: Path) -> None:
    words = ["env=cartpole", "parallel=processes", "parallel.num_envs=6", "parallel.num_workers=2", "max_steps=100"]
    done = cli("rollout", *words, "seed=3", "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    assert "steps     600, 100 of each of 6 envs" in done.out
    metrics = read(tmp_path / "run" / "metrics.json")
    data = envcli.load_rollout(tmp_path / "run")
    ends = data["next", "done"]
    assert data.shape == (6, 100)
    assert (metrics["envs"], metrics["steps"], metrics["episodes"]) == (6, 600, ends.sum())
    assert metrics["unfinished_episodes"] == (~ends[:, -1]).sum()
    for name, parallel in (("other", "parallel=processes"), ("third", "parallel=serial")):
        cli("rollout", parallel, "parallel.num_envs=6", "max_steps=100", "seed=3", f"hydra.run.dir={name}")
        assert (envcli.load_rollout(tmp_path / name) == data).all()


def test_a_replay_gives_the_same_bits(cli: Command, tmp_path: Path) -> None:
    words = ["env_list=[pendulum,pendulum]", "frame_skip=2", "transforms=[step_counter]", "outer_transforms=[sign]"]
    words += ["outer_transforms.sign.in_keys=[reward]", "parallel=serial", "parallel.num_envs=4", "max_steps=30"]
    assert cli("rollout", *words, "hydra.run.dir=first").code == 0
    assert cli("rollout", "replay=first", "hydra.run.dir=again").code == 0
    one, two = (envcli.load_rollout(tmp_path / name) for name in ("first", "again"))
    assert (one == two).all()
    assert (tmp_path / "first" / "config.yaml").read_text() == (tmp_path / "again" / "config.yaml").read_text()
    assert read(tmp_path / "first" / "status.json")["overrides"] == words


@pytest.mark.parametrize("parallel", ["processes", "serial"])
def test_of_which_rewards_the_returns_are_is_said(parallel: str, cli: Command, tmp_path: Path) -> None:
    words = [f"parallel={parallel}", "parallel.num_envs=2", "outer_transforms=[sign]", "max_steps=60"]
    words += ["transforms=[reward_sum,reward_clipping]", "outer_transforms.sign.in_keys=[reward]"]
    done = cli("rollout", *words, "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    assert ", of rewards after RewardClipping and SignTransform\n" in done.out
    assert read(tmp_path / "run" / "metrics.json")["reward_transforms"] == ["RewardClipping", "SignTransform"]
    assert ", of rewards after RewardClipping and SignTransform\n" in cli("show", "run").out
    (tmp_path / "run" / "metrics.json").write_text('{"reward_transforms": ["[red]", 3]}')
    assert ", of rewards" not in cli("show", "run").out, "a file may hold anything"


def test_a_run_of_several_envs_is_called_after_them(cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", "env_list=[cartpole,cartpole]", "parallel=serial", "max_steps=3", "recorder=none")
    assert done.code == 0, done.err
    assert (tmp_path / "outputs" / "rollout" / "cartpole-cartpole").is_dir()


def test_envs_that_do_not_fit_are_one_line(cli: Command) -> None:
    done = cli("rollout", "env_list=[cartpole,pendulum]", "parallel=serial", "max_steps=3")
    assert done.code == 2
    assert done.err.startswith("error: env_list=[cartpole,pendulum]: env 1 does not fit the batch: observation")
    assert done.err.count("\n") == 1


def test_a_start_method_that_is_none_is_one_line(cli: Command) -> None:
    done = cli("rollout", "parallel=processes", "parallel.start_method=frok")
    assert done.code == 2
    assert "parallel.start_method: found 'frok', expected one of forkserver, spawn, fork." in done.err


@pytest.mark.parametrize("parallel", ["processes", "serial"])
def test_arguments_that_do_nothing_are_neither_taken_nor_recommended(parallel: str, cli: Command) -> None:
    words = [f"parallel={parallel}", "parallel.num_envs=2"]
    done = cli("spec", *words, "+parallel.num_threads=8")
    said = "parallel.num_threads: has no effect here, it exists only for TorchRL code. Leave it out."
    assert (done.code, done.err) == (2, f"error: {said}\n")
    done = cli("spec", *words, "+parallel.num_thread=8")
    assert done.code == 2
    assert "parallel.num_thread: no such key" in done.err
    assert "num_threads" not in done.err
    assert "num_sub_threads" not in done.err


def test_spec_shows_the_shapes_of_the_batch(cli: Command) -> None:
    done = cli("spec", "env=pendulum", "parallel=serial", "parallel.num_envs=3")
    assert (done.code, done.err) == (0, "")
    assert "Pendulum-v1 (backend=gymnasium) x 3, one after the other" in done.out
    assert "[3x3]  [-1, -1, -8] to [1, 1, 8]" in done.out


def test_spec_shows_what_comes_before_all_transforms(cli: Command) -> None:
    words = ["env=pendulum", "parallel=serial", "transforms=[step_counter]", "outer_transforms=[reward_sum]"]
    answer = json.loads(cli("spec", *words, "parallel.num_envs=2", "json=true").out)
    assert answer["batch_size"] == [2]
    assert list(answer["specs_before_transforms"]["observation"]) == ["observation"]
    assert set(answer["specs"]["observation"]) == {"observation", "step_count", "episode_reward"}
    assert answer["specs"]["observation"]["step_count"]["shape"] == [2, 1]


@pytest.mark.parametrize("parallel", ["serial", "processes"])
def test_check_finds_nothing_wrong_with_a_batch(parallel: str, cli: Command) -> None:
    done = cli("check", "env=pendulum", f"parallel={parallel}", "parallel.num_envs=2", "seed=0", "json=true")
    assert done.code == 0, done.out
    assert all(finding["passed"] for finding in json.loads(done.out))


def test_render_shows_all_envs_in_a_grid(cli: Command, tmp_path: Path) -> None:
    pytest.importorskip("pygame", reason="gymnasium draws Pendulum with pygame")
    words = ["env=pendulum", "parallel=processes", "parallel.num_envs=4", "max_steps=3", "format=png", "seed=0"]
    done = cli("render", *words, "transforms=[to_tensor_image,resize]", "hydra.run.dir=film", "json=true")
    assert done.code == 0, done.err
    assert read(tmp_path / "film" / "metrics.json")["fps"] == 30
    with Pillow.open(tmp_path / "film" / "frames" / "000000.png") as image:
        grid = np.asarray(image)
    assert grid.shape == (1004, 1004, 3)
    cells = [grid[i : i + 500, j : j + 500] for i in (0, 504) for j in (0, 504)]
    assert all((cell != 24).any() for cell in cells)
    assert not (cells[0] == cells[3]).all()


def test_render_shows_different_envs_as_their_transforms_leave_them(cli: Command, tmp_path: Path) -> None:
    pytest.importorskip("ale_py")
    words = ["env_list=[pong,air_raid]", "parallel=serial", "transforms=pixels", "max_steps=3", "format=png"]
    done = cli("render", *words, "hydra.run.dir=film")
    assert done.code == 0, done.err
    with Pillow.open(tmp_path / "film" / "frames" / "000001.png") as image:
        assert image.size == (508, 272)  # three times 84 each, what is between them, and a name below each
    assert "compare: with different envs" in cli("render", *words, "compare=true").err


def test_a_multirun_over_batches(cli: Command) -> None:
    done = cli("rollout", "-m", "parallel=serial,processes", "parallel.num_envs=2,4", "max_steps=50", "seed=1")
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines() if "finished" in line]
    numbers = [row[2:-1] for row in rows]  # from the number of envs on, all but the speed
    assert [len(row) for row in numbers] == [6] * 4
    assert numbers[:2] == numbers[2:]


def test_a_multirun_over_env_lists_names_them(cli: Command) -> None:
    done = cli("rollout", "-m", "env_list=[taxi,taxi],[taxi]", "parallel=serial", "max_steps=3", "recorder=none")
    assert done.code == 0, done.err
    assert "[taxi,taxi]" in done.out


@pytest.mark.slow
def test_ctrl_c_keeps_what_the_workers_made(tmp_path: Path) -> None:
    words = ["parallel=processes", "parallel.num_envs=3", "max_steps=3000000", "seed=0", "hydra.run.dir=run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "envcli", "rollout", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 200
        while not has_rows(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, ""), err
    data = envcli.load_rollout(tmp_path / "run")
    assert data.shape[0] == 3
    assert 0 < data.shape[1] < 3_000_000
    assert err.startswith(f"interrupted after {data.numel():,} steps, kept in run/rollout")
    assert torch.equal(data["observation"][:, 1], data["next", "observation"][:, 0])


MORTAL = """
import os, signal
from envcli import from_gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class Mortal(CartPoleEnv):
    made = 0

    def step(self, action):
        self.made += 1
        if self.made == {at}:
            os.kill(os.getpid(), signal.SIGSEGV)
        observation, reward, *_ = super().step(action)
        return observation, reward, self.made % 5 == 0, False, {{}}


def make():
    return from_gymnasium(Mortal())
"""


def test_what_became_of_lost_workers_is_said(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "mortal_envs.py").write_text(MORTAL.format(at=8))
    words = ["backend=custom", "backend.name=mortal_envs:make", "allow_imports=true", "parallel=processes", "seed=1"]
    words += ["parallel.num_envs=2", "parallel.num_workers=1", "parallel.on_worker_death=restart", "max_steps=20"]
    done = cli("rollout", *words, "hydra.run.dir=run")
    assert done.code == 0, done.err
    metrics, data = read(tmp_path / "run" / "metrics.json"), envcli.load_rollout(tmp_path / "run")
    cut = int(data["next", "restarted"].sum())
    assert (metrics["restarts"], metrics["restarted_episodes"]) == (cut // 2, cut)
    assert cut
    assert {metrics[f"{of}_{kind}"] for of in ("return", "length") for kind in ("min", "max")} == {5}
    assert f"{cut // 2} workers died and were restarted: env 0 (worker 0, seed 1) in step 7" in done.err
    assert "the worker was killed by SIGSEGV" in done.err
    shown = cli("show", "run").out
    for text in (done.out, shown):
        assert f"{cut} by restarts" in text
        assert f"restarts  {cut // 2} workers died and were restarted" in text
    again = cli("rollout", "replay=run", "allow_imports=true", "hydra.run.dir=again")
    assert "replay: workers died and were restarted in that run" in again.err


@pytest.mark.parametrize(("parallel", "said"), [("processes", True), ("serial", False)])
def test_a_replay_says_that_shared_statistics_do_not_repeat(cli: Command, parallel: str, said: bool) -> None:
    words = ("env=pendulum", "transforms=vec_norm", "transforms.vec_norm.shared=true", "parallel.num_envs=2")
    assert cli("rollout", *words, f"parallel={parallel}", "max_steps=3", "hydra.run.dir=run").code == 0
    again = cli("rollout", "replay=run", "hydra.run.dir=again")
    assert again.code == 0, again.err
    assert ("replay: workers update shared statistics (shared=true) in no fixed order" in again.err) == said


@pytest.mark.parametrize(("shards", "code"), [(["000000"], 2), ([], 1)])
def test_what_shared_statistics_made_is_not_resumed(cli: Command, tmp_path: Path, shards: list[str], code: int) -> None:
    words = ("env=pendulum", "transforms=vec_norm", "transforms.vec_norm.shared=true", "parallel=processes")
    many = ("parallel.num_envs=2", "total_steps=40", "shard_steps=10", "hydra.run.dir=run")
    assert cli("rollout", *words, *many).code == 0
    for name, changes in {"status": {"state": "killed"}, "rollout/shards": {"shards": shards}}.items():
        file = tmp_path / "run" / f"{name}.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    done = cli("rollout", "resume=run")
    refused = "resume: workers update shared statistics (shared=true) in no fixed order, so the steps of this run"
    assert (done.code, refused in done.err) == (code, bool(shards)), done.err

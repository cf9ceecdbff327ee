"""The commands that only answer: list, spec, check."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from tests.conftest import ROOT, Command


def test_list_names_every_env(cli: Command) -> None:
    names = {row["name"] for row in json.loads(cli("list", "json=true").out) if row["backend"] == "gymnasium"}
    assert names == set(gymnasium.registry)


def test_list_finds_by_name_and_preset(cli: Command, tmp_path: Path) -> None:
    done = cli("list", "query=PEND")
    assert done.code == 0
    assert "Pendulum-v1" in done.out
    assert "env=pendulum" in done.out
    assert "CartPole" not in done.out
    assert "MountainCar-v0" in cli("list", "query=mountain_car").out
    assert list(tmp_path.iterdir()) == []


def test_list_without_a_match_says_what_is_near(cli: Command) -> None:
    done = cli("list", "query=pendulun")
    assert done.code == 2
    assert "Did you mean 'Pendulum-v1'" in done.err


def test_spec_shows_the_tree(cli: Command, tmp_path: Path) -> None:
    done = cli("spec", "env=pendulum")
    assert (done.code, done.err) == (0, "")
    for text in ("Pendulum-v1 (backend gym)", "observation", "[3]", "action", "-2 to 2", "reward", "truncated"):
        assert text in done.out
    assert list(tmp_path.iterdir()) == []


def test_spec_shows_before_and_after(cli: Command) -> None:
    done = cli("spec", "transforms=[step_counter]")
    before, after = done.out.split("after step_counter")
    assert "before transforms" in before
    assert "step_count" not in before
    assert "step_count" in after


def test_spec_in_json(cli: Command) -> None:
    answer = json.loads(cli("spec", "env=taxi", "json=true", "transforms=[step_counter]").out)
    assert answer["specs"]["action"]["action"] == {
        "type": "OneHot",
        "shape": [6],
        "dtype": "int64",
        "device": "cpu",
        "n": 6,
    }
    assert "step_count" in answer["specs"]["observation"]
    assert "step_count" not in answer["specs_before_transforms"]["observation"]


@pytest.mark.parametrize("preset", ["cartpole", "pendulum"])
def test_check_finds_nothing_wrong_with_a_good_env(preset: str, cli: Command, tmp_path: Path) -> None:
    done = cli("check", f"env={preset}", "seed=0")
    assert done.code == 0, done.out + done.err
    assert done.out.count(" ok ") > 3
    assert list(tmp_path.iterdir()) == []
    assert all(finding["passed"] for finding in json.loads(cli("check", f"env={preset}", "seed=0", "json=true").out))


BROKEN = """
import gymnasium, numpy as np

class Broken(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.full(2, 5, np.float32), {}

    def step(self, action):
        return np.full(2, 5, np.float32), 1.0, False, False, {}

gymnasium.register("Broken-v0", Broken, disable_env_checker=True)
"""


def test_check_says_what_is_wrong(tmp_path: Path) -> None:
    """A process of its own, with an env registered at its start, as a user's package would."""
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "envcli", "check", "backend.name=Broken-v0"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed" in done.stdout
    assert "observation" in done.stdout
    assert "checks failed" in done.stderr


@pytest.mark.parametrize("command", ["spec", "check", "list"])
def test_a_multirun_of_an_answer_writes_nothing(command: str, cli: Command, tmp_path: Path) -> None:
    sweep = "query=pendulum,cartpole" if command == "list" else "env=pendulum,cartpole"
    done = cli(command, "-m", sweep)
    assert done.code == 0, done.err
    assert "CartPole-v1" in done.out or done.out.count(" ok ") > 6
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    line = f"{sys.executable} -m envcli list json=true | head -n 1"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "[\n"
    assert all(said.startswith("left out: ") for said in done.stderr.splitlines()), "what is not installed, and no more"


def test_into_a_pipe_no_line_is_cut(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "InvertedDoublePendulum-v5" in cli("list", "query=doublepend").out

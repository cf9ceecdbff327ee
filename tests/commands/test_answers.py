"""The commands that only answer: list, spec, check."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from envcli.cli.launch import _asks_json
from envcli.configuration.reading import read
from envcli.errors import MissingDependency
from envcli.vocabulary import catalog, registry
from tests.conftest import ROOT, Command


def test_list_names_every_env_that_has_not_moved_to_another_package(cli: Command) -> None:
    names = {row["name"] for row in json.loads(cli("list", "json=true").out) if row["backend"] == "gymnasium"}
    moved = set(gymnasium.registry) - names
    assert {"Ant-v2", "Ant-v3", "GymV26Environment-v0"} <= moved
    assert all(callable(gymnasium.spec(name).entry_point) for name in moved)


def test_list_says_what_an_env_needs_that_is_not_installed(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    absent = ("Box2D", "jax")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *at: None if name in absent else found(name, *at))
    done = cli("list", "lunarlander-v")
    assert done.out.splitlines()[2].split(maxsplit=2)[1:] == ["LunarLander-v3", "'gymnasium[box2d]'"]
    assert done.out.splitlines()[0].split() == ["backend", "name", "preset", "pip", "install"]
    assert done.out.splitlines()[-1].startswith("1 env, 1 of them needs a library that is not installed; run one with")
    rows = json.loads(cli("list", "cartpole-v", "json=true").out)
    needed = {(row["backend"], row["name"]): row["to_install"] for row in rows}
    for backend in ("gymnasium", "gymnasium_vector"):
        assert needed[backend, "phys2d/CartPole-v1"] == "pip install 'gymnasium[jax]'"
        assert needed[backend, "CartPole-v1"] is None
    assert "pip install" not in cli("list", "query=mountain_car").out


def test_list_finds_by_name_and_preset(cli: Command, tmp_path: Path) -> None:
    done = cli("list", "query=PEND")
    assert done.code == 0
    assert "Pendulum-v1" in done.out
    assert "env=pendulum" in done.out
    assert "CartPole" not in done.out
    assert "MountainCar-v0" in cli("list", "query=mountain_car").out
    assert cli("list", "PEND").out == done.out
    assert "1 env; run one with" in cli("list", "MountainCar-v0").out
    assert list(tmp_path.iterdir()) == []


def test_a_preset_of_an_env_that_its_backend_does_not_list_is_found(
    cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "presets", lambda: {("custom", "robo.cam:make"): "robo_cam"})
    (found,) = json.loads(cli("list", "robo_cam", "json=true").out)
    assert found == {
        "backend": "custom",
        "name": "robo.cam:make",
        "preset": "robo_cam",
        "facts": None,
        "to_install": None,
    }


def test_list_says_in_one_line_what_is_not_installed(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        @staticmethod
        def available_names() -> list[str]:
            raise MissingDependency("ale-py", "backend=ale", "atari")

    found = registry.find
    monkeypatch.setattr(registry, "members", lambda family: ["gym", "ale", "brax"])
    monkeypatch.setattr(registry, "find", lambda family, name: found(family, name) if name == "gym" else Absent)
    done = cli("list", "pend")
    said = "left out: not installed: ale, brax, but for their presets. What to type is in: envcli doctor\n"
    assert (done.code, done.err) == (0, said)
    assert "Pendulum-v1" in done.out
    assert "env=inverted" not in done.out
    (found,) = json.loads(cli("list", "brax_ant", "json=true").out)
    assert found["to_install"] == "pip install 'envcli[atari]'"


def test_list_without_a_match_says_what_is_near(cli: Command) -> None:
    done = cli("list", "query=pendulun")
    assert done.code == 2
    assert "Did you mean 'Pendulum-v1'" in done.err


def test_spec_shows_the_tree(cli: Command, tmp_path: Path) -> None:
    done = cli("spec", "env=pendulum")
    assert (done.code, done.err) == (0, "")
    for text in ("Pendulum-v1 (backend=gymnasium)", "observation", "[3]", "action", "-2 to 2", "reward", "truncated"):
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
    assert done.out.count("\nok ") > 3
    assert list(tmp_path.iterdir()) == []
    assert all(finding["passed"] for finding in json.loads(cli("check", f"env={preset}", "seed=0", "json=true").out))


def test_check_tells_what_it_did_not_see(cli: Command) -> None:
    done = cli("check", "env=pendulum", "seed=0")
    assert re.search(r"\nin part +rollouts stop at done .*, as no episode ended before step 20\n", done.out)
    words = ["transforms=step_counter", "transforms.step_counter.max_steps=9"]
    assert done.out.endswith(f"3 of them seen only in part. To see episodes end, add {' '.join(words)}\n")
    assert cli("check", "env=pendulum", "seed=0", *words).out.endswith("17 of 17 promises kept\n")
    findings = json.loads(cli("check", "env=pendulum", "json=true").out)
    unseen = {finding["name"]: finding["unseen"] for finding in findings}
    assert unseen["rollouts stop at done"] == "no episode ended before step 20"
    assert unseen["seeds repeat"] is None


class Broken(gymnasium.Env[np.ndarray, int]):
    """Shows what its space does not hold."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.full(2, 5, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.full(2, 5, np.float32), 1.0, False, False, {}


def test_check_says_what_is_wrong(cli: Command) -> None:
    gymnasium.register("Broken-v0", Broken, disable_env_checker=True)
    try:
        done = cli("check", "backend.name=Broken-v0")
    finally:
        del gymnasium.registry["Broken-v0"]
    assert done.code == 1, done.out + done.err
    assert "failed" in done.out
    assert "observation" in done.out
    assert done.out.count("expected -1.0 to 1.0") == 1, "the first of many names the cause"
    assert "same as: reset keeps to the specs" in done.out
    assert re.search(r"checks failed: reset keeps to the specs \(and \d+ more, for the same reason\)", done.err)


class Drawn(Broken):
    """Shows other numbers each time."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        gymnasium.Env.reset(self, seed=seed)
        return self.np_random.uniform(0.5, 9, 2).astype(np.float32), {}


def test_check_knows_a_cause_with_other_numbers(cli: Command) -> None:
    gymnasium.register("Drawn-v0", Drawn, disable_env_checker=True)
    try:
        done = cli("check", "backend.name=Drawn-v0", "seed=1")
    finally:
        del gymnasium.registry["Drawn-v0"]
    assert done.out.count("Drawn-v0 reset: observation: expected -1.0 to 1.0") == 1
    assert done.err.count("for the same reason") == 1


class Late(gymnasium.Env[Any, Any]):
    """Answers wrongly from its fifth step on."""

    observation_space = gymnasium.spaces.Box(0, 9, (2,), np.int64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, what: str) -> None:
        self.what, self.count = what, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.count = 0
        return np.zeros(2, np.int64), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        late = self.what if self.count >= 5 else ""
        shown = np.full(2, 0.7) if late == "observation" else np.zeros(2, np.int64)
        return shown, float("nan") if late == "reward" else 1.0, False, self.count == 30, {}


@pytest.mark.parametrize(
    ("what", "said"), [("observation", "observation: expected int64 .*float64"), ("reward", "reward: .*finite.*nan")]
)
def test_check_holds_every_step_to_what_is_announced(what: str, said: str, cli: Command) -> None:
    gymnasium.register("Late-v0", Late, disable_env_checker=True)
    words = "backend.name=Late-v0", f"+backend.options.what={what}", "json=true"
    try:
        done, trusted = cli("check", *words), cli("check", *words, "backend.checks=off")
    finally:
        del gymnasium.registry["Late-v0"]
    assert done.code == 1, done.out
    assert re.search(f"Late-v0 step: {said}", done.out), done.out
    assert "Late-v0 step" not in trusted.out
    assert ("'reward' is NaN in step 4" in trusted.out) == (what == "reward")


@pytest.mark.parametrize("command", ["spec", "check", "list"])
def test_a_multirun_of_an_answer_writes_nothing(command: str, cli: Command, tmp_path: Path) -> None:
    sweep = "query=pendulum,cartpole" if command == "list" else "env=pendulum,cartpole"
    done = cli(command, "-m", sweep)
    assert done.code == 0, done.err
    assert "CartPole-v1" in done.out or done.out.count("\nok ") > 6
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    line = f"{sys.executable} -m envcli list json=true | head -n 1"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "[\n"
    assert all(said.startswith("left out") for said in done.stderr.splitlines()), "what is not installed, and no more"


def test_into_a_pipe_no_line_is_cut(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "InvertedDoublePendulum-v5" in cli("list", "query=doublepend").out


def test_specs_need_no_seed(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "unseeded.py").write_text(
        "from envcli import Categorical, Composite, EnvBase, Unbounded\n"
        "class Unseeded(EnvBase):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.observation_spec = Composite(observation=Unbounded([1]))\n"
        "        self.action_spec = Categorical(2)\n"
        "    def _reset(self, tensordict, **options): ...\n"
        "    def _step(self, tensordict): ...\n"
        "    def _set_seed(self, seed):\n"
        "        raise ValueError('no generator')\n"
    )
    done = cli("spec", "backend=custom", "backend.name=unseeded:Unseeded", "allow_imports=true")
    assert done.code == 0, done.err
    assert "observation" in done.out


@pytest.mark.parametrize("typed", ["true", "True", "yes", "1", "on", "false", "False", "no", "0", "off"])
def test_a_sweep_takes_for_true_what_each_of_its_jobs_does(typed: str) -> None:
    assert _asks_json([f"json={typed}"]) is read("doctor", [f"json={typed}"]).json


def test_a_sweep_of_answers_is_one_array(cli: Command) -> None:
    done = cli("spec", "-m", "env=pendulum,cartpole", "seed=3", "json=True")
    assert done.code == 0
    found = json.loads(done.out)
    assert [(job["job"], job["state"], job["overrides"]["env"], job["seed"]) for job in found] == [
        (0, "finished", "pendulum", 3),
        (1, "finished", "cartpole", 3),
    ]
    assert [job["answer"]["name"] for job in found] == ["Pendulum-v1", "CartPole-v1"]


def test_in_a_sweep_of_answers_the_job_that_failed_is_told(cli: Command, tmp_path: Path) -> None:
    done = cli("list", "-m", "query=pendulum,nonsense", "json=true")
    assert done.code == 1
    good, bad = json.loads(done.out)
    assert (good["error"], bad["answer"], bad["state"]) == (None, None, "failed")
    assert bad["error"].startswith("no env that contains 'nonsense'")
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_of_runs_is_one_array(cli: Command) -> None:
    done = cli("rollout", "-m", "seed=1,2", "max_steps=20", "json=on")
    assert [job["seed"] for job in json.loads(done.out)] == [1, 2]

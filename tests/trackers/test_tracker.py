"""A tracker of the user's own, and which calls it gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command

TEN_LINES = """
import json
from envcli.trackers.tracker import Tracker

class JsonLines(Tracker):
    def _write(self, **line):
        with open(self.folder / "track.jsonl", "a") as file:
            print(json.dumps(line), file=file)
    def begin(self, config): self._write(config=config)
    def log(self, values, step): self._write(step=step, **values)
    def keep(self, path): self._write(file=path.name)
    def end(self, metrics): self._write(metrics=metrics)
    def close(self, error=None): self._write(error=error and str(error))
"""

WORDS = ["tracker.type=json_lines:JsonLines", "allow_imports=true", "hydra.run.dir=run"]


@pytest.fixture
def told(cli: Command, tmp_path: Path) -> Any:  # Any: a function, to the lines that it wrote
    (tmp_path / "json_lines.py").write_text(TEN_LINES)

    def run(*words: str) -> tuple[int, list[dict[str, Any]]]:  # Any: what JSON can hold
        done = cli(*words, *WORDS)
        return done.code, [json.loads(line) for line in (tmp_path / "run" / "track.jsonl").read_text().splitlines()]

    return run


def test_ten_lines_are_told_everything_of_a_rollout(told: Any, tmp_path: Path) -> None:
    code, lines = told("rollout", "env=cartpole", "parallel=serial", "parallel.num_envs=2", "max_steps=100", "seed=1")
    assert code == 0
    first, *episodes, summary, last = lines
    assert (first["config"]["seed"], first["config"]["backend"]["name"]) == (1, "CartPole-v1")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert summary["metrics"] == metrics
    assert last == {"error": None}
    assert sorted(line["return"] for line in episodes) == metrics["return_quantiles"]
    steps = [line["step"] for line in episodes]
    assert steps == sorted(steps)
    assert all(step % 2 == 0 and step <= 200 for step in steps), "steps of both envs"


def test_a_film_and_its_pictures_are_handed_over(told: Any) -> None:
    code, lines = told("render", "env=cartpole", "format=gif", "max_steps=3")
    assert code == 0
    assert [line["file"] for line in lines if "file" in line] == ["video.gif", "poster.png", "contact_sheet.png"]


BREAKS = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Breaks(CartPoleEnv):
    def step(self, action):
        raise RuntimeError("the pole fell off")

gymnasium.register("Breaks-v0", Breaks)
"""


def test_a_failure_is_told_too(told: Any, tmp_path: Path) -> None:
    (tmp_path / "breaks.py").write_text(BREAKS)
    code, lines = told("rollout", "backend.name=breaks:Breaks-v0")
    assert code == 1
    assert "the pole fell off" in lines[-1]["error"]
    assert not any("metrics" in line for line in lines)


@pytest.mark.parametrize(
    "words",
    [
        ("rollout", "backend.name=CartPol-v1"),
        ("rollout", "policy=module", "policy.path=nowhere.pt"),
        ("render", "backend.name=CartPol-v1"),
        ("render", "rollout=nowhere"),
        ("render", "compare=true"),
    ],
)
@pytest.mark.parametrize("tracker", ["tracker=tensorboard", "tracker.type=json_lines:JsonLines"])
def test_where_nothing_begins_nothing_is_left(
    cli: Command, tmp_path: Path, words: tuple[str, ...], tracker: str
) -> None:
    (tmp_path / "json_lines.py").write_text(TEN_LINES)
    done = cli(*words, tracker, "allow_imports=true", "hydra.run.dir=run")
    said = [line for line in done.err.splitlines() if not line.startswith("allow_imports: imported")]
    assert (done.code, len(said)) == (2, 1), done.err
    assert not (tmp_path / "run").exists()


def test_of_an_env_that_fails_to_be_built_the_tracker_leaves_nothing(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "json_lines.py").write_text(TEN_LINES)
    unbuilt = BREAKS.replace("def step(self, action)", "def __init__(self)").replace("Breaks-v0", "Unbuilt-v0")
    (tmp_path / "unbuilt.py").write_text(unbuilt)
    done = cli("rollout", "backend.name=unbuilt:Unbuilt-v0", *WORDS)
    assert done.code == 1, done.err
    left = {path.name for path in (tmp_path / "run").iterdir()} - {"log.txt"}
    assert left == {"config.yaml", "manifest.json", "status.json"}


@pytest.mark.parametrize("command", [["rollout"], ["render", "format=gif"]])
def test_what_a_tracker_draws_changes_no_run(cli: Command, tmp_path: Path, command: list[str]) -> None:
    drawing = TEN_LINES.replace("def begin(self, config): ", "def begin(self, config): torch.rand(3); ")
    (tmp_path / "drawing.py").write_text(f"import torch\n{drawing}")
    words = [*command, "env=cartpole", "max_steps=20", "seed=1"]
    assert cli(*words, "hydra.run.dir=a").code == 0
    tracker = ("tracker.type=drawing:JsonLines", "allow_imports=true")
    assert cli(*words, *tracker, "hydra.run.dir=b").code == 0
    kept = "rollout/action.memmap" if command == ["rollout"] else "video.gif"
    assert (tmp_path / "a" / kept).read_bytes() == (tmp_path / "b" / kept).read_bytes()


def test_without_permission_no_code_is_imported(cli: Command) -> None:
    done = cli("rollout", "tracker.type=json_lines:JsonLines")
    assert done.code == 2
    assert "allow_imports=true" in done.err

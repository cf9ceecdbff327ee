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


def test_a_failure_is_told_too(told: Any) -> None:
    code, lines = told("rollout", "backend.name=CartPol-v1")
    assert code == 2
    assert "CartPol-v1" in lines[-1]["error"]
    assert not any("metrics" in line for line in lines)


def test_without_permission_no_code_is_imported(cli: Command) -> None:
    done = cli("rollout", "tracker.type=json_lines:JsonLines")
    assert done.code == 2
    assert "allow_imports=true" in done.err

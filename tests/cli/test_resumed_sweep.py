from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from envcli.cli.resumed_sweep import ResumedSweep
from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.folders.sweep_plan import SweepPlan
from envcli.shards.loading import load_rollout
from tests.conftest import Command
from tests.reports.runs import write_run

SEEDS = [[f"seed={seed}", "max_steps=20"] for seed in range(4)]


def resumed(folder: Path, *beside: str, command: str = "rollout") -> ResumedSweep:
    found = ResumedSweep.asked(command, [f"resume={folder}", *beside], [])
    assert found is not None
    return found


def states(folder: Path) -> dict[str, str]:
    return {path.parent.name: json.loads(path.read_text())["state"] for path in folder.glob("*/status.json")}


def test_what_is_missing_is_made_and_the_rest_stays(cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", "-m", "env=cartpole", "seed=range(0,3)", "max_steps=20", "hydra.sweep.dir=swept")
    assert done.code == 0, done.err
    assert "go on" not in done.out
    swept = tmp_path / "swept"
    first = (swept / "0_CartPole-v1" / "status.json").read_text()
    cut = swept / "1_CartPole-v1" / "status.json"
    cut.write_text(cut.read_text().replace("finished", "interrupted"))
    for path in sorted((swept / "2_CartPole-v1").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (swept / "2_CartPole-v1").rmdir()
    (swept / ".interrupted").touch()

    report = cli("report", "swept")
    assert "1 more job did not begin" in report.out
    assert "go on by  envcli rollout -m resume=swept" in report.out

    done = cli("rollout", "-m", "resume=swept")
    assert done.code == 0, done.err
    assert done.out.count("finished") == 3
    assert states(swept) == {f"{number}_CartPole-v1": "finished" for number in range(3)}
    assert (swept / "0_CartPole-v1" / "status.json").read_text() == first
    seeds = [json.loads(path.read_text())["seed"] for path in sorted(swept.glob("*/manifest.json"))]
    assert seeds == [0, 1, 2]

    again = cli("rollout", "-m", "resume=swept")
    assert again.code == 2
    assert "all 3 jobs of swept are finished" in again.err


def test_a_job_in_shards_goes_on_where_it_was(cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("env=cartpole", "total_steps=400", "shard_steps=100")
    assert cli("rollout", *words, "seed=1", "hydra.run.dir=whole").code == 0
    rollout, begun = Env.rollout, itertools.count(1)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(begun) == 3:
            raise KeyboardInterrupt
        return rollout(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Env, "rollout", interrupted)
        stopped = cli("rollout", "-m", *words, "seed=1,2", "hydra.sweep.dir=swept")
    assert stopped.code == 130
    assert states(tmp_path / "swept") == {"0_CartPole-v1": "interrupted"}
    assert "go on   envcli rollout -m resume=swept" in stopped.out

    done = cli("rollout", "-m", "resume=swept", "json=true")
    assert done.code == 0, done.err
    jobs = json.loads(done.out)
    assert [(job["state"], job["seed"]) for job in jobs] == [("finished", 1), ("finished", 2)]
    assert jobs[0]["overrides"]["seed"] == "1", "what was typed at first"
    assert jobs[0]["metrics"]["steps"] == 400
    whole, swept = load_rollout(tmp_path / "whole"), load_rollout(tmp_path / "swept" / "0_CartPole-v1")
    assert torch.equal(whole["next", "observation"], swept["next", "observation"])


def test_only_what_says_how_and_not_what_may_be_typed_beside(tmp_path: Path) -> None:
    SweepPlan("rollout", True, SEEDS).write(tmp_path)
    write_run(tmp_path / "0_x")
    write_run(tmp_path / "1_x", "failed", "it broke")
    found = resumed(tmp_path, "hydra/launcher=joblib", "json=true")
    assert found.words == ["hydra/launcher=joblib", "json=true", f"hydra.sweep.dir='{tmp_path}'"]
    assert found._jobs == [
        ["seed=1", "max_steps=20", "hydra.sweep.subdir='1_x'", "json=true"],
        ["seed=2", "max_steps=20", "hydra.sweep.subdir='2_${envcli_task:}'", "json=true"],
        ["seed=3", "max_steps=20", "hydra.sweep.subdir='3_${envcli_task:}'", "json=true"],
    ]
    assert (tmp_path / "1_x").is_dir(), "nothing is removed before all is known to be well"
    for word in ("max_steps=30", "env=pendulum", "hydra.sweep.dir=elsewhere", "hydra.sweep.subdir=x"):
        with pytest.raises(ConfigError, match=f"takes no '{word}'"):
            resumed(tmp_path, word)


def test_a_strangers_plan_neither_imports_code_nor_steers_hydra(tmp_path: Path) -> None:
    words = ["seed=1", "allow_imports=true", "hydra.callbacks.x._target_=os.abort", "hydra/launcher=joblib"]
    SweepPlan("rollout", True, [words]).write(tmp_path)
    assert resumed(tmp_path)._jobs == [["seed=1", "hydra.sweep.subdir='0_${envcli_task:}'"]]
    assert "allow_imports=true" in resumed(tmp_path, "allow_imports=true")._jobs[0]


@pytest.mark.parametrize(
    ("plan", "state", "name", "said"),
    [
        (None, "failed", "0_x", "no folder of a sweep"),
        (SweepPlan("bench", True, SEEDS), "failed", "0_x", "a sweep of envcli bench"),
        (SweepPlan("rollout", False, SEEDS), "failed", "0_x", "not Hydra's basic one"),
        (SweepPlan("rollout", True, SEEDS), "running", "0_x", "job 0 is at work, process 1 on elsewhere"),
        (SweepPlan("rollout", True, SEEDS), "finished", "x", "not named NUMBER_ENV"),
        (SweepPlan("rollout", True, SEEDS[:1]), "finished", "0_x", "all 1 jobs of .* are finished"),
    ],
)
def test_what_cannot_go_on_says_why(tmp_path: Path, plan: SweepPlan | None, state: str, name: str, said: str) -> None:
    if plan is not None:
        plan.write(tmp_path)
    write_run(tmp_path / name, state)
    with pytest.raises(ConfigError, match=said):
        resumed(tmp_path)


def test_a_broken_job_is_named(tmp_path: Path) -> None:
    SweepPlan("rollout", True, SEEDS).write(tmp_path)
    (write_run(tmp_path / "2_x") / "status.json").write_text("{")
    with pytest.raises(ConfigError, match=r"job 2: .*status.json"):
        resumed(tmp_path)


def test_a_run_is_no_sweep_and_a_sweep_no_run(cli: Command, tmp_path: Path) -> None:
    write_run(tmp_path / "run", "interrupted")
    SweepPlan("rollout", True, SEEDS).write(tmp_path / "swept")
    for words, said in (
        (("-m", "resume=run"), "Leave out -m"),
        (("resume=swept",), "add -m"),
        (("-m", "resume=nothing"), "no folder nothing"),
    ):
        done = cli("rollout", *words)
        assert (done.code, said in done.err) == (2, True), done.err

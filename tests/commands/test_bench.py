"""``envcli bench``: few steps, for what is said and kept; never for how fast."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.hydra import Hydra

from envcli.processes import family
from tests.conftest import ROOT, Command

QUICK = ("max_steps=20", "repetitions=2", "seconds=0")
LIGHT = (*QUICK, "subject=native", "peers=[]")  # needs no torch, so it starts at once


def only_run(root: Path) -> Path:
    (found,) = root.glob("outputs/bench/*/*/bench.json")
    return found.parent


def read(path: Path) -> Any:  # Any: whatever the file holds
    return json.loads(path.read_text())


def test_ours_beside_others(cli: Command, tmp_path: Path) -> None:
    done = cli("bench", "env=cartpole", "peers=[native,gymnasium_sync,ale_vector]", *QUICK)
    assert done.code == 0, done.err
    assert "left out: ale_vector: it plays Atari's games" in done.err
    for text in (
        "CartPole-v1, one env",
        "envcli ",
        "native",
        "gymnasium_sync",
        "envcli is",
        "Python 3",
        "1 thread per",
    ):
        assert text in done.out
    folder = only_run(tmp_path)
    assert str(folder.relative_to(tmp_path)) in done.out
    result = read(folder / "bench.json")
    assert list(result["contenders"]) == ["envcli", "native", "gymnasium_sync"]
    for data in result["contenders"].values():
        assert [sample["steps"] for sample in data["samples"]] == [20, 20]
        assert data["memory"]["main"] > 1e6
    assert read(folder / "metrics.json")["steps_per_second"] > 0
    assert read(folder / "status.json")["state"] == "finished"
    assert list((folder / "logs").iterdir()) == []


def test_in_processes_each_step_a_message(cli: Command, tmp_path: Path) -> None:
    words = ("parallel=processes", "parallel.num_envs=2", "subject=envcli_step", "peers=[]", *QUICK)
    done = cli("bench", *words, "json=true")
    assert (done.code, done.err) == (0, "")
    result = json.loads(done.out)
    assert (result["envs"], result["parallel"]) == (2, "processes")
    assert result["contenders"]["envcli_step"]["samples"][0]["steps"] == 40
    assert len(result["contenders"]["envcli_step"]["memory"]["others"]) >= 1


def test_a_baseline_decides_about_the_exit_code(cli: Command, tmp_path: Path) -> None:
    assert cli("bench", *LIGHT, "hydra.run.dir=then").code == 0
    done = cli("bench", *LIGHT, "baseline=then", "max_slowdown=1000", "hydra.run.dir=now")
    assert done.code == 0, done.err
    assert "times as long as in then" in done.out
    failed = cli("bench", *LIGHT, "baseline=then", "max_slowdown=0.0001")
    assert failed.code == 1
    assert "native takes" in failed.err
    assert "beyond max_slowdown=0.0001" in failed.err
    other = cli("bench", *LIGHT, "env=pendulum", "baseline=then")
    assert other.code == 2
    assert "then is not comparable, workload: backend" in other.err


def test_a_sweep_makes_the_speed_large(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """And Hydra's sweepers are given it as a float: what Optuna maximises."""
    given: list[Any] = []
    multirun = Hydra.multirun
    monkeypatch.setattr(Hydra, "multirun", lambda *args, **kwargs: given.extend(multirun(*args, **kwargs)))
    done = cli("bench", "-m", "max_steps=10,20", *LIGHT[1:], "json=true")
    assert done.code == 0, done.err
    jobs = json.loads(done.out)
    assert [job["overrides"]["max_steps"] for job in jobs] == ["10", "20"]
    assert all(job["metrics"]["steps_per_second"] > 0 for job in jobs)
    values = [one.return_value for batch in given for one in batch]
    assert values == [job["metrics"]["steps_per_second"] for job in jobs]
    assert all(type(value) is float for value in values)
    assert "max_steps" in (Path(jobs[0]["folder"]).parent / "bench.svg").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_all_it_started(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "envcli", "bench", *LIGHT[:2], "seconds=60", *LIGHT[3:], "hydra.run.dir=run"]
    (tmp_path / "scratch").mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "scratch")}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 200
    while not ((tmp_path / "run" / "logs" / "native.txt").exists() and (started := family(process.pid)[1:])):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    said = b"interrupted\n" if number == signal.SIGINT else b"interrupted (SIGTERM)\n"
    assert (process.returncode, out, err) == (128 + number, b"", said)
    assert read(tmp_path / "run" / "status.json")["state"] == "interrupted"
    assert not list((tmp_path / "scratch").glob("envcli-*"))
    while any(Path(f"/proc/{pid}").exists() for pid in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_variant_is_the_same_by_other_words(cli: Command, tmp_path: Path) -> None:
    done = cli("bench", *LIGHT, "variant={backend.name: Pendulum-v1, max_steps: 30}")
    assert done.code == 0, done.err
    assert "variant: native with backend.name=Pendulum-v1, max_steps=30" in done.out
    found = read(only_run(tmp_path) / "bench.json")
    assert {name: data["samples"][0]["steps"] for name, data in found["contenders"].items()} == {
        "native": 20,
        "variant": 30,
    }
    wrong = cli("bench", *LIGHT, "variant={backend.nam: Pendulum-v1}")
    assert wrong.code == 2
    assert "variant: " in wrong.err


def test_frames_are_those_of_each(cli: Command) -> None:
    done = cli("bench", *LIGHT, "frame_skip=2", "variant={frame_skip: 4}", "json=true")
    assert done.code == 0, done.err
    found = json.loads(done.out)["contenders"]
    for name, frames in (("native", 2), ("variant", 4)):
        assert found[name]["frames_per_second"] == pytest.approx(frames * found[name]["steps_per_second"]["median"])


def test_a_search_says_what_to_type(cli: Command, tmp_path: Path) -> None:
    done = cli("bench", "tune=true", "budget=0", "max_steps=10")
    assert done.code == 0, done.err
    assert "best: " in done.out
    assert "1 setting tried, none of them compared in turn" in done.out
    folder = only_run(tmp_path)
    assert read(folder / "bench.json")["tune"]["finalists"]
    assert read(folder / "metrics.json")["steps_per_second"] > 0


def test_a_profile_says_where_the_time_goes(cli: Command, tmp_path: Path) -> None:
    words = ("env=cartpole", "transforms=[step_counter]", "parallel=processes", "parallel.num_envs=2")
    done = cli("bench", *words, *QUICK, "profile=true")
    assert done.code == 0, done.err
    for text in ("of a step of all 2 envs go", "simulator: steps", "transforms.step_counter", "not accounted for"):
        assert text in done.out
    *_, advice, kept = done.out.splitlines()
    assert advice.startswith(("change first: ", "nothing to change"))
    assert kept.startswith("kept in ")
    found = read(only_run(tmp_path) / "bench.json")["profile"]
    main, workers = found["processes"]
    whole = sum(main["us"].values()) + found["unaccounted_us"]
    assert whole == pytest.approx(found["us"])
    assert workers["us"]["simulator: steps"] > 0
    assert found["advice"] == advice


@pytest.mark.parametrize("backend", ["torch", "gymnasium_vector"])
def test_a_profile_of_an_engine_tells_it_from_us(cli: Command, tmp_path: Path, backend: str) -> None:
    long = ("max_steps=200", *QUICK[1:])  # so that what a rollout costs once counts for little
    done = cli("bench", "env=cartpole", f"backend={backend}", "parallel.num_envs=256", *long, "profile=true")
    assert done.code == 0, done.err
    (main,) = read(only_run(tmp_path) / "bench.json")["profile"]["processes"]
    assert main["us"]["simulator: steps"] > main["us"]["loop"]
    assert main["us"]["backend"] > 0


SUITE = """# @package _global_
# Mine
suite:
  easy: {words: [subject=native, max_steps=50], against: {gymnasium_sync: 0.001, ale_vector: 1}}
  hard: {words: [subject=native, max_steps=50], against: {gymnasium_sync: 1000}}
  grows: {words: [subject=native, "variant={max_steps: 60}"], against: {variant: 0.001}, memory: {variant: 0.001}}
  wrong: {words: [subject=native, backend.name=CartPoll-v1], against: {gymnasium_sync: 1}}
"""


def test_a_suite_is_a_table_of_promises(cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "suite").mkdir(parents=True)
    (tmp_path / "mine" / "suite" / "mine.yaml").write_text(SUITE)
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(tmp_path / "mine"))
    done = cli("bench", "suite=mine", "repetitions=1", "seconds=0", "strict=true", "hydra.run.dir=out")
    assert done.code == 1
    assert "1 of 6 promises missed: hard against gymnasium_sync; 1 of 6 promises not measured: wrong" in done.err
    rows = {(row["workload"], row["peer"]): row for row in read(tmp_path / "out" / "bench.json")["rows"]}
    kept = {name: row["kept"] for name, row in rows.items()}
    assert kept == {
        ("easy", "gymnasium_sync"): True,
        ("easy", "ale_vector"): None,
        ("hard", "gymnasium_sync"): False,
        ("grows", "max_steps=60"): True,
        ("wrong", "gymnasium_sync"): None,
    }
    assert rows["wrong", "gymnasium_sync"]["reason"].startswith("no gymnasium env 'CartPoll-v1'. Did you mean")
    assert {name for name, row in rows.items() if row["failed"]} == {("wrong", "gymnasium_sync")}
    assert "not measured: no gymnasium env 'CartPoll-v1'" in done.out
    assert (tmp_path / "out" / "easy" / "bench.json").is_file()
    assert "missed" in done.out


@pytest.mark.parametrize(
    ("words", "code", "failed"),
    [
        ("[env=cartpol]", 1, True),
        ("[backend.type=gym, +backend.rat=3]", 1, True),
        ("[backend.name=ALE/Pong-v5]", 0, False),
    ],
)
def test_words_that_are_wrong_fail_a_strict_suite(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, code: int, failed: bool
) -> None:
    (tmp_path / "mine" / "suite").mkdir(parents=True)
    suite = f"# @package _global_\nsuite:\n  one: {{words: {words}, against: {{native: 1}}}}\n"
    (tmp_path / "mine" / "suite" / "mine.yaml").write_text(suite)
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ale_py'] = None  # is not installed\n")
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(tmp_path / "mine"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    words_of_all = ("suite=mine", *QUICK[1:], "hydra.run.dir=out")
    done = cli("bench", *words_of_all, "strict=true")
    assert done.code == code, done.out + done.err
    assert [row["failed"] for row in read(tmp_path / "out" / "bench.json")["rows"]] == [failed]
    if failed:
        assert "1 of 1 promises not measured: one against native" in done.err
        assert "note: 1 of 1 promises not measured" in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["peers=[nativ]"], "no contender 'nativ'. Did you mean 'native'"),
        (["peers=native"], "error: peers: found native, expected a list: peers=[native]"),
        (["subject=envcly"], "Did you mean 'envcli'"),
        (["clock=sun"], "no clock 'sun'. There are: cpu, wall."),
        (["repetitions=0"], "repetitions: found 0"),
        (["seconds=-1"], "seconds: found -1.0"),
        (["break_when_any_done=true"], "continues after an episode ends"),
        (["baseline=nowhere"], "baseline: found no nowhere/bench.json"),
        (["suite=readmi"], "suite: no choice 'readmi'. Did you mean 'readme'?"),
        (["suite=readme", "env=pong"], "a suite defines what is measured, so it takes no 'env=pong'"),
        (["backend.name=CartPoll-v1", "subject=native"], "Did you mean 'CartPole-v1'"),
        (["profile=true", "subject=native"], "profile: native is not from envcli"),
        (["tune=true", "subject=native"], "tune: native is not from envcli"),
        (["tune=true", "profile=true"], "tune: measures settings other than those typed"),
        (["tune=true", "backend=torch"], "tune: backend=torch steps the whole batch in one call"),
        (
            ["tune=true", "backend=gymnasium_vector", "parallel.num_envs=8"],
            "sweep over the number of envs: -m parallel.num_envs=8,16",
        ),
        (["budget=10"], "budget: applies only to a search. Add tune=true"),
        (["variant=3"], "variant: found 3, expected keys and values"),
        (["subject=ale_vector"], "ale_vector: it plays Atari's games"),
    ],
)
def test_a_mistake_is_one_line(cli: Command, words: list[str], message: str) -> None:
    done = cli("bench", *words)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert message in done.err

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import pytest
import torch
import yaml
from tensordict import TensorDict

import envcli
from envcli.commands import rollout
from envcli.testing.gym_toys import CountingGym
from tests.conftest import ROOT, Command, ran

TALKING = """
import os

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class Talking(CartPoleEnv):
    def step(self, action):
        print("by print", flush=True)
        os.write(1, b"by C\\n")
        return super().step(action)


gymnasium.register("Talking-v0", Talking)
"""


def read(path: Path) -> Any:  # Any: whatever the file holds
    return json.loads(path.read_text())


def only_run(root: Path, command: str = "rollout") -> Path:
    (found,) = root.glob(f"outputs/{command}/*/*/status.json")
    return found.parent


def same(one: Path, two: Path) -> bool:
    left, right = (TensorDict.load_memmap(path / "rollout") for path in (one, two))
    assert set(left.keys(True, True)) == set(right.keys(True, True))
    return all(torch.equal(left[key], right[key]) for key in left.keys(True, True))


def test_the_first_minute(shell: Command, tmp_path: Path) -> None:
    """One process: the table, the run folder and the data of a first rollout."""
    done = shell("rollout", "env=pendulum", "max_steps=500", "seed=3", "frame_skip=2")
    assert (done.code, done.err) == (0, "")
    for text in (
        "steps     500",
        "episodes  5",
        "length    mean 100, from 100 to 100 steps",
        "steps/s",
        "seed      3",
    ):
        assert text in done.out
    run = only_run(tmp_path)
    assert str(run.relative_to(tmp_path)) in done.out.replace("\n", "")
    assert run.parent.name == "Pendulum-v1"
    assert sorted(p.name for p in run.iterdir()) == [
        "config.yaml",
        "manifest.json",
        "metrics.json",
        "rollout",
        "status.json",
    ]

    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["seed"], config["frame_skip"], config["backend"]["name"]) == (3, 2, "Pendulum-v1")
    manifest = read(run / "manifest.json")
    assert manifest["argv"] == ["rollout", "env=pendulum", "max_steps=500", "seed=3", "frame_skip=2"]
    assert manifest["seed"] == 3
    assert read(run / "status.json")["state"] == "finished"
    metrics = read(run / "metrics.json")
    assert (metrics["steps"], metrics["episodes"], metrics["unfinished_episodes"]) == (500, 5, 0)

    data = TensorDict.load_memmap(run / "rollout")
    assert data.shape == (500,)
    assert {"action", "done", "next", "observation", "terminated", "truncated"} <= set(data.keys())
    assert metrics["return_mean"] == pytest.approx(data["next", "reward"].double().sum().item() / 5, rel=1e-6)
    for path in (run, run / "rollout"):
        assert torch.equal(envcli.load_rollout(path)["action"], data["action"])


@pytest.mark.parametrize("length", ["max_steps=200", "total_steps=200"])
def test_of_a_reward_by_another_name_episodes_are_counted_without_a_return(
    length: str, cli: Command, tmp_path: Path
) -> None:
    done = cli("rollout", length, "seed=1", "+transforms.r={type: rename, in_keys: [reward], out_keys: [paid]}")
    assert (done.code, done.err) == (0, "")
    metrics = read(only_run(tmp_path) / "metrics.json")
    data = envcli.load_rollout(only_run(tmp_path))[:]
    ended = int(data["next", "done"].sum())
    assert ended > 1
    assert (metrics["steps"], metrics["episodes"], metrics["return_mean"]) == (200, ended, None)
    assert data["next", "paid"].shape == (200, 1)
    assert "-, as there is no reward at the root" in cli("show", str(only_run(tmp_path))).out


def test_a_drawn_seed_is_recorded_and_replay_gives_the_same_bits(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "max_steps=50", "transforms=[step_counter]").code == 0
    first = only_run(tmp_path)
    assert isinstance(read(first / "manifest.json")["seed"], int)
    assert cli("rollout", f"replay={first}", "hydra.run.dir=again").code == 0
    assert same(first, tmp_path / "again")
    assert (first / "config.yaml").read_text() == (tmp_path / "again" / "config.yaml").read_text()
    assert cli("rollout", "max_steps=50", "transforms=[step_counter]", "hydra.run.dir=other").code == 0
    assert not same(first, tmp_path / "other")


def test_a_replay_says_what_has_changed_since(cli: Command, tmp_path: Path) -> None:
    cli("rollout", "max_steps=5", "hydra.run.dir=first")
    manifest = read(tmp_path / "first" / "manifest.json")
    manifest["versions"]["torch"] = "1.0"
    (tmp_path / "first" / "manifest.json").write_text(json.dumps(manifest))
    done = cli("rollout", "replay=first")
    assert done.code == 0
    assert f"torch 1.0 -> {metadata.version('torch')}" in done.err


def test_a_replay_does_not_open_the_door_to_imports_by_itself(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "my_policy.py").write_text("class Idle:\n    def bind(self, env):\n        return None\n")
    words = ["max_steps=5", "policy.type=my_policy:Idle", "allow_imports=true"]
    assert cli("rollout", *words, "hydra.run.dir=first").code == 0
    refused = cli("rollout", "replay=first")
    assert refused.code == 2
    assert "first/config.yaml imports external code" in refused.err
    assert cli("rollout", "replay=first", "allow_imports=true").code == 0


def network(path: Path, pushes: int) -> None:
    """One that always takes this action of CartPole."""
    torch.save({"weight": torch.zeros(2, 4), "bias": torch.eye(2)[pushes]}, path)


@pytest.mark.parametrize("word", ["replay", "resume"])
def test_a_run_of_another_command_is_not_run_again(word: str, cli: Command, tmp_path: Path) -> None:
    assert cli("render", "max_steps=2", "hydra.run.dir=film").code == 0
    status = tmp_path / "film" / "status.json"
    status.write_text(status.read_text().replace("finished", "interrupted"))
    done = cli("rollout", f"{word}=film")
    said = f"error: {word}: film is a run of envcli render, expected one of envcli rollout.\n"
    assert (done.code, done.err) == (2, said)


def test_a_replay_notices_that_a_file_is_another(cli: Command, tmp_path: Path) -> None:
    network(tmp_path / "net.pt", 0)
    words = ["env=cartpole", "policy=module", "policy.path=net.pt"]
    assert cli("rollout", *words, "max_steps=5", "hydra.run.dir=first").code == 0
    file = read(tmp_path / "first" / "manifest.json")["files"]["policy.path"]
    assert (file["path"], len(file["sha256"])) == (str(tmp_path / "net.pt"), 64)
    network(tmp_path / "net.pt", 1)
    refused = cli("rollout", "replay=first", "hydra.run.dir=second")
    assert (refused.code, refused.err.count("\n"), (tmp_path / "second").exists()) == (2, 1, False)
    assert "replay: policy.path: " in refused.err
    assert f"expected {file['sha256'][:12]}" in refused.err
    assert cli("rollout", "replay=first", "policy.path=net.pt", "hydra.run.dir=second").code == 0
    assert read(tmp_path / "second" / "manifest.json")["files"]["policy.path"]["sha256"] != file["sha256"]
    assert (envcli.load_rollout(tmp_path / "second")["action"] == torch.tensor([0, 1])).all()
    assert cli("rollout", "replay=first", "policy.in_keys=[observation]").code == 2
    manifest = read(tmp_path / "first" / "manifest.json")
    del manifest["files"]  # as an older run has none
    (tmp_path / "first" / "manifest.json").write_text(json.dumps(manifest))
    assert cli("rollout", "replay=first", "hydra.run.dir=third").code == 0


def test_a_replay_from_another_folder_finds_the_files(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network(tmp_path / "net.pt", 1)
    words = ["env=cartpole", "policy=module", "policy.path=net.pt"]
    assert cli("rollout", *words, "max_steps=5", "hydra.run.dir=first").code == 0
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert cli("rollout", "replay=../first", "hydra.run.dir=../second").code == 0
    assert same(tmp_path / "first", tmp_path / "second")
    (tmp_path / "net.pt").unlink()
    lost = cli("rollout", "replay=../first", "hydra.run.dir=../third")
    assert lost.code == 2
    assert f"policy.path: no file {tmp_path}/else/net.pt, nor {tmp_path}/net.pt." in lost.err


def test_where_a_variable_is_part_of_a_path_it_is_not_written_down(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRETS", str(tmp_path / "unsaid"))
    (tmp_path / "unsaid").mkdir()
    network(tmp_path / "unsaid" / "net.pt", 1)
    path = "policy.path=${oc.env:SECRETS}/net.pt"
    assert cli("rollout", "env=cartpole", "policy=module", path, "max_steps=5", "hydra.run.dir=a").code == 0
    assert cli("rollout", "replay=a", "hydra.run.dir=b").code == 0
    network(tmp_path / "unsaid" / "net.pt", 0)
    assert cli("rollout", "replay=a", "hydra.run.dir=c").code == 2
    assert cli("rollout", "replay=a", path, "hydra.run.dir=c").code == 0
    for run in "abc":
        assert read(tmp_path / run / "manifest.json")["files"]["policy.path"]["path"] is None
        assert "unsaid" not in (tmp_path / run / "config.yaml").read_text()


LEARNING = ["env=cartpole", "transforms=[observation_norm,vec_norm]"]


@pytest.mark.parametrize("more", [[], ["parallel=serial", "parallel.num_envs=2"]])
@pytest.mark.parametrize("length", ["max_steps=40", "total_steps=80"])
def test_what_an_env_learnt_is_kept(more: list[str], length: str, cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", *LEARNING, *more, length, "seed=1", "hydra.run.dir=a").code == 0
    state = torch.load(tmp_path / "a" / "env_state.pt", weights_only=True)
    first = state["worker0"] if more else state
    assert first["transforms.0.loc"].shape == (4,)
    assert first["transforms.1._extra_state"]["td"]["observation_count"] > 30
    with envcli.make_env(*LEARNING, *more) as env:
        env.reset()  # a batch builds its envs then
        env.load_state_dict(state)
        found = env.state_dict()
    assert torch.equal((found["worker0"] if more else found)["transforms.0.loc"], first["transforms.0.loc"])


@pytest.mark.parametrize("more", [[], ["transforms=[step_counter]"], ["parallel=serial", "parallel.num_envs=2"]])
def test_an_env_that_learns_nothing_leaves_nothing(more: list[str], cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "env=cartpole", *more, "max_steps=5", "hydra.run.dir=a").code == 0
    assert not (tmp_path / "a" / "env_state.pt").exists()


def test_a_replay_goes_where_its_task_belongs(cli: Command, tmp_path: Path) -> None:
    cli("rollout", "env=pendulum", "max_steps=5", "hydra.run.dir=first")
    assert cli("rollout", "replay=first", "json=true").code == 0
    assert only_run(tmp_path).parent.name == "Pendulum-v1"


def test_equal_seeds_give_equal_rollouts(cli: Command, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cli("rollout", "max_steps=50", f"seed={seed}", f"hydra.run.dir={name}")
    assert same(tmp_path / "a", tmp_path / "b")
    assert not same(tmp_path / "a", tmp_path / "c")


def test_json_is_the_whole_answer(cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", "max_steps=20", "seed=0", "json=true", "break_when_any_done=true")
    answer = json.loads(done.out)
    assert done.err == ""
    assert answer == read(only_run(tmp_path) / "metrics.json")
    assert answer["seed"] == 0


def test_what_a_simulator_prints_is_not_in_the_json(shell: Command, tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(TALKING)
    words = ["backend.name=talking:Talking-v0", "allow_imports=true", "max_steps=3", "json=true"]
    for more in ([], ["parallel=processes", "parallel.num_envs=2"]):
        done = shell("rollout", *words, *more)
        assert json.loads(done.out)["steps"] == (6 if more else 3)
        assert done.err.count("by print") == done.err.count("by C") > 0


def test_nothing_but_the_metrics(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "max_steps=20", "recorder=none", "policy=zero").code == 0
    assert not (only_run(tmp_path) / "rollout").exists()


def test_an_earlier_run_is_never_overwritten(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "max_steps=5", "hydra.run.dir=a").code == 0
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "a").rglob("*"))
    done = cli("rollout", "max_steps=5", "hydra.run.dir=a")
    assert done.code == 2
    assert "found files of an earlier run" in done.err
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "a").rglob("*"))


def test_a_place_that_cannot_be_written(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("rollout", "max_steps=5", "hydra.run.dir=file/run")
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "file/run: not a directory. Choose another folder: hydra.run.dir=FOLDER" in done.err


FILL = """
import torch


class Fill:
    def bind(self, env):
        self.calls = 0
        return self

    def __call__(self, tensordict):
        self.calls += 1
        if self.calls == 20:
            with open("filler", "wb", buffering=0) as filler:
                try:
                    while filler.write(bytes(4096)) == 4096:
                        pass
                except OSError:
                    print("full")
        return tensordict.set("action", torch.tensor([0, 1]))
"""


def test_a_disk_that_somebody_fills_meanwhile_costs_nothing(tmp_path: Path) -> None:
    """What is written at the end has its room from the beginning."""
    small = tmp_path / "small"
    small.mkdir()
    inside, mount = ["unshare", "-rm", "sh", "-c"], f"mount -t tmpfs -o size=4M tmpfs {small}"
    try:
        subprocess.run([*inside, mount], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("file systems cannot be mounted here")
    (tmp_path / "fill_policy.py").write_text(FILL)
    words = "rollout policy.type=fill_policy:Fill allow_imports=true max_steps=50 break_when_any_done=false seed=1"
    program = f"e='{sys.executable} -m envcli'; $e {words} hydra.run.dir=run && $e show run"
    done = ran([*inside, f"{mount} && cd {small} && cp ../fill_policy.py . && {program}"], tmp_path)
    assert "full" in done.err
    assert (done.code, "run       rollout, finished" in done.out, "shape per step" in done.out) == (0, True, True)


def test_a_failure_is_recorded_and_named(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "full_policy.py").write_text(
        "class Idle:\n    def bind(self, env):\n        raise OverflowError('full')\n"
    )
    done = cli("rollout", "policy.type=full_policy:Idle", "allow_imports=true")
    assert (done.code, "OverflowError: full" in done.err, "Traceback" in done.err) == (1, True, False)
    status = read(only_run(tmp_path) / "status.json")
    assert (status["state"], status["error"]) == ("failed", "OverflowError: full in full_policy.py, line 3")


def test_an_env_that_raises_is_told_with_its_seed_and_the_steps_so_far(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "frail.py").write_text(
        "from envcli.testing.toys import CountingEnv\n"
        "class Odd(Exception):\n    def __str__(self):\n        raise TypeError\n"
        "class Frail(CountingEnv):\n    def _step_row(self, t):\n        if t == 6:\n            raise Odd\n"
        "        super()._step_row(t)\n"
    )
    words = ("rollout", "backend=custom", "backend.name=frail:Frail", "allow_imports=true", "seed=3")
    done = cli(*words)
    folder = only_run(tmp_path)
    odd = r"Odd: \(its message raises TypeError\) in frail.py, line 8 \(after 6 steps of the rollout"
    assert done.code == 1
    assert re.search(
        rf"^error: unexpected {odd}; seed 3, the steps so far are kept in outputs/\S*/rollout\)\. Set HYDRA_FULL",
        done.err,
        re.M,
    )
    assert len(envcli.load_rollout(folder)) == 6
    swept = cli(*words, "-m")
    assert (swept.code, swept.err.count("Job 0: Odd: (its message raises TypeError) in frail.py, line 8")) == (1, 1)


@pytest.mark.parametrize("name", ["CartPol-v1", ""])
def test_a_name_that_no_backend_knows_leaves_no_folder(name: str, cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", f"backend.name={name}")
    assert (done.code, done.err.count("\n"), "Traceback" in done.err) == (2, 1, False)
    assert list(tmp_path.iterdir()) == []


def test_full_error_raises(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(envcli.errors.UnknownName):
        cli("rollout", "backend.name=CartPol-v1")
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


def has_rows(root: Path) -> bool:
    """Is there a run below that has written down where a first step led?"""
    for path in root.rglob("rollout/next/observation.memmap"):
        with path.open("rb") as file:
            if any(file.read(64)):
                return True
    return False


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 2), (signal.SIGHUP, 1)])
def test_a_signal_keeps_what_there_is(number: signal.Signals, times: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "envcli", "rollout", "max_steps=5000000", "seed=0"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 200
        while not has_rows(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        for _ in range(times):  # twice at once, as from timeout(1) to its process group
            process.send_signal(number)
        out, err = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 128 + number, err
    assert err.startswith("interrupted after ")
    assert err.count("\n") == 1
    assert out == ""
    run = only_run(tmp_path)
    status = read(run / "status.json")
    assert status["state"] == "interrupted"
    data = envcli.load_rollout(run)
    assert 0 < len(data) < 5_000_000
    assert f"after {len(data):,} steps" in err
    assert data["next", "observation"][-1].any(), "the last step is a real one"
    size = sum(path.stat().st_size for path in run.rglob("*.memmap"))
    assert size < 200 * len(data), "what was reserved and not used is given back"


def test_a_multirun_ends_with_a_table(cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", "-m", "env=pendulum,cartpole", "seed=range(0,2)", "max_steps=200")
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines() if "finished" in line]
    assert len(rows) == 4
    for text in ("job", "env", "seed", "state", "return", "steps/s", "pendulum", "cartpole"):
        assert text in done.out
    (sweep,) = (tmp_path / "outputs" / "rollout" / "multirun").iterdir()
    folders = sorted(path.name for path in sweep.iterdir() if path.is_dir())
    assert folders == ["0_Pendulum-v1", "1_Pendulum-v1", "2_CartPole-v1", "3_CartPole-v1"]
    assert all(read(sweep / name / "status.json")["state"] == "finished" for name in folders)


def test_a_multirun_names_the_job_that_failed(cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", "-m", "backend.name=CartPole-v1,CartPol-v1,Pendulum-v1", "max_steps=20")
    assert done.code == 1
    assert done.out.count("finished") == 2
    assert done.out.count("failed") == 1
    assert "1 of 3 jobs failed. Job 1: " in done.err
    assert "Did you mean" in done.err
    assert "Traceback" not in done.err


def test_a_multirun_answers_in_json(cli: Command) -> None:
    done = cli("rollout", "-m", "seed=1,2", "max_steps=20", "json=true")
    answer = json.loads(done.out)
    assert [job["overrides"]["seed"] for job in answer] == ["1", "2"]
    assert all(job["metrics"]["steps"] == 20 for job in answer)


class Lossy(CountingGym):
    """Pays NaN in the second step of an episode."""

    def step(self, action: Any) -> Any:
        shown, reward, *rest = super().step(action)
        return shown, float("nan") if self.count == 2 else reward, *rest


def test_a_reward_that_is_nan_is_said_at_the_end(cli: Command) -> None:
    gymnasium.register("Lossy-v0", Lossy)
    try:
        done = cli("rollout", "backend.name=Lossy-v0", "max_steps=10")
        strict = cli("rollout", "backend.name=Lossy-v0", "max_steps=10", "backend.checks=full")
    finally:
        del gymnasium.registry["Lossy-v0"]
    assert done.code == 0
    assert "reward: NaN or infinite in some steps" in done.err
    assert "add backend.checks=full" in done.err
    assert strict.code == 1
    assert "Lossy-v0 step: reward: expected a finite number, found nan" in strict.err
    assert "reward" not in cli("rollout", "env=cartpole", "max_steps=10").err


CLINGING = """
from envcli import from_gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class Clinging(CartPoleEnv):
    def close(self):
        raise RuntimeError("cannot close")


def make():
    return from_gymnasium(Clinging())
"""


@pytest.mark.parametrize("words", [["max_steps=20"], ["total_steps=40", "shard_steps=20"], ["parallel=serial"]])
def test_a_simulator_that_cannot_be_closed_spoils_no_run(words: list[str], cli: Command, tmp_path: Path) -> None:
    (tmp_path / "clinging_envs.py").write_text(CLINGING)
    own = ["backend=custom", "backend.name=clinging_envs:make", "allow_imports=true", "hydra.run.dir=run"]
    done = cli("rollout", *own, *words)
    assert done.code == 0, done.err
    assert "close: RuntimeError: cannot close" in done.err
    assert "steps" in done.out
    assert read(tmp_path / "run" / "status.json")["state"] == "finished"
    assert read(tmp_path / "run" / "metrics.json")["steps"]


def test_agents_that_are_paid_by_groups_have_no_sum_of_rewards() -> None:
    metrics = {"steps": 8192, "envs": 4096, "episodes": 0, "unfinished_episodes": 4096, "reward_sum": None}
    metrics |= {"return_mean": None, "length_mean": None, "reward_transforms": [], "restarts": 0}
    metrics |= {"steps_per_second": 1.0, "seed": 3}
    folder: Any = SimpleNamespace(home=Path("outputs"))
    said = dict(rollout._lines(metrics, folder))
    assert said["steps"] == "8,192, 2 of each of 4,096 envs"
    assert list(said) == ["steps", "episodes", "speed", "seed", "kept in"]


def test_an_exit_that_an_env_asks_for_is_a_failure(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(self: object) -> None:
        sys.exit(0)

    monkeypatch.setattr("envcli.backends.gym.GymEnv._reset_row", lambda self, t, where: leave(self))
    for words in (["check", "env=cartpole"], ["rollout", "env=cartpole"]):
        done = cli(*words)
        assert done.code == 1
        assert re.search(r"test_rollout.py, line \d+: sys.exit\(0\) was called. Raise an exception instead$", done.err)

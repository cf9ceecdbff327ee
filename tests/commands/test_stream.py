"""Rollouts of total_steps, as they are typed: shards, resume and overwrite."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import envcli
from envcli.envs.env import Env
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.typed_word import quoted
from tests.conftest import ROOT, Command

WORDS = ("env=cartpole", "total_steps=400", "shard_steps=100", "seed=1")


def data(folder: Path) -> ShardedRollout:
    found = envcli.load_rollout(folder, verify=True)
    assert isinstance(found, ShardedRollout)
    return found


def test_total_steps_are_the_rollout_of_max_steps(cli: Command, tmp_path: Path) -> None:
    words = ("env=cartpole", "total_steps=20000", "shard_steps=4096", "seed=1")
    assert cli("rollout", *words, "hydra.run.dir=a").code == 0
    assert cli("rollout", "env=cartpole", "max_steps=20000", "seed=1", "hydra.run.dir=b").code == 0
    one, two = data(tmp_path / "a"), envcli.load_rollout(tmp_path / "b", verify=True)
    assert (one.num_shards, one.batch_size) == (5, two.batch_size)
    assert all(torch.equal(one[key], two[key]) for key in two.keys(True, True))
    metrics = [json.loads((tmp_path / run / "metrics.json").read_text()) for run in "ab"]
    others = ("seconds", "steps_per_second", "folder")
    same = [name for name in metrics[1] if name not in others]
    assert [metrics[0][name] for name in same] == [metrics[1][name] for name in same]


@pytest.mark.usefixtures("fork_server")
def test_total_steps_count_those_of_all_envs(cli: Command, tmp_path: Path) -> None:
    many = ("parallel=processes", "parallel.num_envs=3", "parallel.num_workers=2")
    done = cli("rollout", "env=cartpole", "total_steps=1000", "shard_steps=128", *many, "seed=1", "hydra.run.dir=a")
    assert (done.code, done.err) == (0, "")
    assert "steps     1,002, 334 of each of 3 envs" in done.out
    assert data(tmp_path / "a").batch_size == (3, 334)
    serial = ("parallel=serial", "parallel.num_envs=3")
    cli("rollout", "env=cartpole", "max_steps=334", *serial, "seed=1", "hydra.run.dir=b")
    one, two = data(tmp_path / "a"), envcli.load_rollout(tmp_path / "b")
    assert all(torch.equal(one[key], two[key]) for key in two.keys(True, True))


def test_what_cannot_be_meant(cli: Command) -> None:
    for words, text in (
        (("shard_steps=10",), "Add total_steps="),
        (("total_steps=10", "break_when_any_done=true"), "cannot be combined"),
        (("total_steps=0",), "total_steps: found 0"),
        (("resume=nowhere",), "resume: no folder nowhere"),
        (("resume=.", "seed=3"), "takes no 'seed=3'"),
        (("-m", "resume=."), "resume: . is no folder of a sweep"),
    ):
        done = cli("rollout", *words)
        assert done.code == 2, words
        assert text in done.err
        assert done.err.count("\n") == 1


def test_nothing_is_streamed_to_nowhere_but_counted(cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", "total_steps=5000", "recorder=none", "json=true", "hydra.run.dir=a")
    assert json.loads(done.out)["steps"] == 5000
    assert not (tmp_path / "a" / "rollout").exists()


def test_a_ctrl_c_between_two_pieces_counts_none_twice(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout, begun = Env.rollout, itertools.count(1)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(begun) == 3:
            raise KeyboardInterrupt
        return rollout(*args, **kwargs)

    monkeypatch.setattr(Env, "rollout", interrupted)
    done = cli("rollout", "total_steps=400", "shard_steps=100", "recorder=none", "hydra.run.dir=a")
    assert (done.code, done.err) == (130, "interrupted after 200 steps, nothing kept\n")
    assert json.loads((tmp_path / "a" / "status.json").read_text())["error"] == done.err.strip()


def test_a_resume_is_of_something_that_was_stopped(cli: Command, tmp_path: Path) -> None:
    cli("rollout", *WORDS, "hydra.run.dir=a")
    assert "a is finished, so there is nothing to resume" in cli("rollout", "resume=a").err
    cli("rollout", "max_steps=10", "hydra.run.dir=b")
    status = tmp_path / "b" / "status.json"
    status.write_text(status.read_text().replace("finished", "interrupted"))
    before = status.read_text()
    done = cli("rollout", "resume=b")
    assert (done.code, "b is not a rollout with total_steps. Type replay=b" in done.err) == (2, True)
    assert status.read_text() == before
    (tmp_path / "c").mkdir()
    assert "c is not a run folder" in cli("rollout", "resume=c").err


def test_a_resume_notices_that_a_file_is_another(cli: Command, tmp_path: Path) -> None:
    layers = {"weight": torch.zeros(2, 4), "bias": torch.tensor([0.0, 1.0])}
    torch.save(layers, tmp_path / "net.pt")
    cli("rollout", *WORDS, "policy=module", "policy.path=net.pt", "hydra.run.dir=a")
    status, shards = tmp_path / "a" / "status.json", tmp_path / "a" / "rollout" / "shards.json"
    status.write_text(status.read_text().replace("finished", "interrupted"))
    before = (status.read_text(), shards.read_text())
    torch.save({**layers, "bias": torch.tensor([0.0, 2.0])}, tmp_path / "net.pt")  # the same actions, by another file
    refused = cli("rollout", "resume=a")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "resume: policy.path: " in refused.err
    assert (status.read_text(), shards.read_text()) == before
    assert cli("rollout", "resume=a", "policy.path=net.pt").code == 0
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["resumed"][-1]["files"] != manifest["files"]


def test_a_finished_run_is_replaced_only_where_that_is_typed(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "max_steps=10", "hydra.run.dir=a").code == 0
    refused = cli("rollout", "max_steps=20", "hydra.run.dir=a")
    assert (refused.code, "To replace it, add overwrite=true" in refused.err) == (2, True)
    failed = cli("rollout", "max_steps=20", "hydra.run.dir=a", "overwrite=true", "transforms=[frame_skip]",
                 "transforms.frame_skip.frame_skip=0")  # fmt: skip
    assert failed.code != 0
    assert len(envcli.load_rollout(tmp_path / "a")) == 10
    for left in tmp_path.glob("a.new"):
        assert left.is_dir()
    done = cli("rollout", "max_steps=20", "hydra.run.dir=b", "overwrite=true")
    assert done.code == 0
    done = cli("rollout", "max_steps=30", "hydra.run.dir=b", "overwrite=true")
    assert done.code == 0
    assert "kept in   b\n" in done.out
    assert len(envcli.load_rollout(tmp_path / "b")) == 30
    assert not list(tmp_path.glob("b.*"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x")
    assert cli("rollout", "max_steps=5", "hydra.run.dir=mine", "overwrite=true").code == 2
    assert (tmp_path / "mine" / "precious").read_text() == "x"


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_bits(cli: Command, tmp_path: Path) -> None:
    """A real SIGKILL of the real command, a second writer at the gate meanwhile, and a resume."""
    words = ("env=cartpole", "total_steps=80000", "shard_steps=4096", "seed=1")
    command = [sys.executable, "-m", "envcli", "rollout", *words, "hydra.run.dir=a"]
    running = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    end = time.monotonic() + 200
    while not list(tmp_path.glob("a/rollout/000001")) and time.monotonic() < end:
        time.sleep(0.01)
    running.send_signal(signal.SIGSTOP)  # or it is done before the second one has looked
    second = cli("rollout", "resume=a")
    assert (second.code, "another process is writing here" in second.err) == (1, True)
    running.send_signal(signal.SIGKILL)
    running.wait()
    made = data(tmp_path / "a")
    assert 4096 <= len(made) < 80_000
    assert "rollout, killed" in cli("show", "a").out
    done = cli("rollout", "resume=a")
    assert (done.code, "steps, which were run again and compared" in done.out) == (0, True)
    assert cli("rollout", *words, "hydra.run.dir=b").code == 0
    one, two = data(tmp_path / "a"), data(tmp_path / "b")
    assert all(torch.equal(one[key], two[key]) for key in two.keys(True, True))
    assert (tmp_path / "a" / "config.yaml").read_text() == (tmp_path / "b" / "config.yaml").read_text()


@pytest.fixture
def third_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the third piece of the first rollout."""
    rollout, begun = Env.rollout, itertools.count(1)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(begun) == 3:
            raise KeyboardInterrupt
        return rollout(*args, **kwargs)

    monkeypatch.setattr(Env, "rollout", interrupted)


@pytest.mark.parametrize("folder", ["sp ace ü/r 2", "it's $HOME/a"])
@pytest.mark.usefixtures("third_interrupted")
def test_the_line_to_go_on_can_be_typed_whatever_the_folder_is_called(cli: Command, folder: str) -> None:
    words = ("total_steps=400", "shard_steps=100", "seed=1", f"hydra.run.dir={quoted(folder)}")
    done = cli("rollout", *words)
    assert done.code == 130, done.err
    shown = cli("show", folder)
    for text in (done.err, shown.out):
        typed = shlex.split(text.split("type: envcli ")[1].split("\n")[0])
        assert len(typed) == 2
    assert cli(*typed).code == 0
    assert "unfinished" not in cli("show", folder).out


@pytest.mark.usefixtures("third_interrupted")
def test_an_export_of_what_is_unfinished_says_so(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "total_steps=400", "shard_steps=100", "seed=1", "hydra.run.dir='a b'").code == 130
    done = cli("export", "a b")
    assert done.code == 0
    assert "unfinished  of 400, see: envcli show 'a b'\n" in done.out
    said = json.loads(cli("export", "a b", "to=b.npz", "json=true").out)
    assert (said["complete"], said["planned"], said["steps"]) == (False, 400, 200)
    h5py, parquet = pytest.importorskip("h5py"), pytest.importorskip("pyarrow.parquet")
    for name in ("hdf5", "parquet"):
        assert cli("export", "a b", f"format={name}", f"to=b.{name}").code == 0
    with h5py.File(tmp_path / "b.hdf5") as read:
        assert (read.attrs["complete"], read.attrs["planned"]) == ("False", "400")
    about = json.loads(parquet.read_metadata(tmp_path / "b.parquet").metadata[b"envcli"])
    assert (about["complete"], about["planned"]) == (False, 400)
    assert cli("rollout", "resume='a b'").code == 0
    done = cli("export", "a b", "to=c.npz")
    assert "unfinished" not in done.out
    assert json.loads(cli("export", "a b", "to=d.npz", "json=true").out)["complete"] is True


def test_an_export_of_one_piece_that_was_stopped_says_so_too(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "max_steps=20", "hydra.run.dir=a").code == 0
    assert "unfinished" not in cli("export", "a").out
    status = tmp_path / "a" / "status.json"
    status.write_text(status.read_text().replace("finished", "interrupted"))
    assert "unfinished  of 20, see: envcli show a\n" in cli("export", "a", "overwrite=true").out

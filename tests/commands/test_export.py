"""Exports, as they are typed; what each format holds is tested in tests/exports."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import envcli.cli
from envcli.testing.gym_toys import ExoticGym
from tests.conftest import Command, ran

ENDED = """
import os, sys
from envcli.cli import main
from envcli.vocabulary import registry

def interrupted(format, number):
    class_of = registry.find("exports", format)
    write = class_of.write

    def ends_itself(self, data, path):
        write(self, data, path)
        assert path.parent.name.endswith(".part") and path.exists()
        os.kill(os.getpid(), number)

    class_of.write = ends_itself
    return main(["export", "a", f"format={format}", "to=new/folder/here"])

import torch, hydra.main, envcli.commands.export  # once, which takes seconds
for format, number in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    pid = os.fork()
    if not pid:
        sys.exit(interrupted(format, number))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_of_one_that_is_ended_nothing_is_left(tmp_path: Path, run_folder: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    ways = [("npz", signal.SIGTERM), ("npz", signal.SIGHUP), ("npz", signal.SIGINT), ("minari", signal.SIGTERM)]
    words = [str(word) for format, number in ways for word in (format, int(number))]
    done = ran([sys.executable, "-c", ENDED, *words], tmp_path)
    assert [int(line) for line in done.out.split()] == [-signal.SIGTERM, -signal.SIGHUP, 130, -signal.SIGTERM], done.err
    assert done.err == "interrupted\n"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def rolled_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of 40 steps in shards of 16, which no test touches."""
    folder = tmp_path_factory.mktemp("rolled_out") / "a"
    words = ["env=cartpole", "total_steps=40", "shard_steps=16", "seed=1", f"hydra.run.dir={folder}"]
    assert envcli.cli.main(["rollout", *words]) == 0
    return folder


@pytest.fixture
def run_folder(rolled_out: Path, tmp_path: Path) -> Path:
    """One of a test's own."""
    return Path(shutil.copytree(rolled_out, tmp_path / "a"))


@pytest.mark.parametrize("typed", ["precious", "precious/", "precious/../precious", "../{name}/precious"])
def test_into_a_folder_goes_a_file_and_nothing_in_it_is_lost(
    cli: Command, tmp_path: Path, run_folder: Path, typed: str
) -> None:
    (tmp_path / "precious" / "deep").mkdir(parents=True)
    (tmp_path / "precious" / "deep" / "thesis.txt").write_text("years")
    for words in ([], ["overwrite=true"]):
        done = cli("export", "a", f"to={typed.format(name=tmp_path.name)}", *words)
        assert done.code == 0, done.err
        assert sorted(path.name for path in (tmp_path / "precious").iterdir()) == ["deep", "rollout.npz"]
        assert (tmp_path / "precious" / "deep" / "thesis.txt").read_text() == "years"


def test_a_folder_that_is_not_there_yet_is_told_by_its_slash(cli: Command, tmp_path: Path, run_folder: Path) -> None:
    assert cli("export", "a", "to=new/one/").code == 0
    assert (tmp_path / "new" / "one" / "rollout.npz").is_file()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("a/rollout", "to: a/rollout/rollout.npz is inside the rollout itself"),
        ("a/rollout/000000/action.memmap", "is inside the rollout itself"),
        ("b/../a/rollout/shards.json", "is inside the rollout itself"),
        ("link/shards.json", "is inside the rollout itself"),
        ("a/config.yaml", "to: a/config.yaml is part of the run"),
        ("pipe", "to: pipe is not a file, expected one"),
    ],
)
def test_nothing_of_the_run_or_that_is_no_file_is_replaced(
    cli: Command, tmp_path: Path, run_folder: Path, typed: str, said: str
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("a/rollout")
    os.mkfifo(tmp_path / "pipe")
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if not path.is_dir()}
    done = cli("export", "a", f"to={typed}", "overwrite=true")
    assert done.code == 2
    assert said in done.err
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if not path.is_dir()} == before
    assert cli("show", "a", "verify=true").code == 0


def test_the_run_folder_itself_is_a_folder_for_the_file(cli: Command, tmp_path: Path, run_folder: Path) -> None:
    before = {path.name for path in run_folder.iterdir()}
    assert cli("export", "a", "to=a", "overwrite=true").code == 0
    assert {path.name for path in run_folder.iterdir()} - before == {"rollout.npz"}


@pytest.mark.slow
def test_a_data_set_is_replaced_and_a_folder_that_holds_more_is_not(
    cli: Command, tmp_path: Path, run_folder: Path
) -> None:
    pytest.importorskip("minari")
    words = ["export", "a", "format=minari", "to=sets"]
    assert cli(*words).code == 0
    data_set = next((tmp_path / "sets").rglob("data")).parent
    assert "already exists" in cli(*words).err
    inode = data_set.stat().st_ino
    assert cli(*words, "overwrite=true").code == 0
    assert data_set.stat().st_ino != inode
    (data_set / "notes").mkdir()
    (data_set / "notes" / "mine.txt").write_text("years")
    done = cli(*words, "overwrite=true")
    assert (done.code, "is a folder with notes/mine.txt in it, which is not part of a data set" in done.err) == (
        2,
        True,
    )
    assert (data_set / "notes" / "mine.txt").read_text() == "years"


def test_two_at_once_do_not_get_into_each_others_way(
    cli: Command, shell: Command, tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envcli.exports.npz import NpzExport

    write, second = NpzExport.write, []

    def with_another(self: NpzExport, data: Any, path: Path) -> None:
        write(self, data, path)
        second.append(shell("export", "a", "to=c.npz", "overwrite=true"))

    monkeypatch.setattr(NpzExport, "write", with_another)
    assert cli("export", "a", "to=c.npz", "overwrite=true").code == 0
    assert second[0].code == 1
    assert "c.npz: another process is writing here" in second[0].err
    with np.load(tmp_path / "c.npz") as read:
        assert len(read["action"]) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c.npz"]


def test_what_came_meanwhile_stays(
    cli: Command, tmp_path: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envcli.exports.npz import NpzExport

    write = NpzExport.write

    def slowly(self: NpzExport, data: Any, path: Path) -> None:
        write(self, data, path)
        (tmp_path / "c.npz").write_text("mine")

    monkeypatch.setattr(NpzExport, "write", slowly)
    done = cli("export", "a", "to=c.npz")
    assert (done.code, "already exists" in done.err) == (2, True)
    assert (tmp_path / "c.npz").read_text() == "mine"


STARTING = """
import gymnasium
from gymnasium import spaces

from envcli.testing.gym_toys import ExoticGym

gymnasium.register("Starting-v0", lambda: ExoticGym(
    spaces.Dict({"place": spaces.Discrete(7, start=-3), "several": spaces.MultiDiscrete([2, 3], start=[1, 4])})
))
"""


@pytest.mark.slow
@pytest.mark.parametrize("transforms", ["none", "step_counter"])
def test_a_data_set_knows_its_env_where_that_is_gymnasiums_own(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transforms: str
) -> None:
    minari = pytest.importorskip("minari")
    assert cli("rollout", "env=cartpole", f"transforms={transforms}", "max_steps=30", "hydra.run.dir=a").code == 0
    assert cli("export", "a", "format=minari").code == 0
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "a" / "minari"))
    read = minari.load_dataset("envcli/cartpole-v1/random-v0")
    if transforms == "none":
        with read.recover_environment() as env:
            assert env.spec == gymnasium.spec("CartPole-v1")
    else:
        assert read.spec.env_spec is None


def test_a_file_is_not_named_like_one_of_another_format(cli: Command, run_folder: Path) -> None:
    done = cli("export", "a", "to=z.parquet")
    assert (done.code, done.err) == (2, "error: to: found z.parquet, but format=npz. Type: format=parquet\n")
    assert cli("export", "a", "to=z.dat").code == 0


@pytest.mark.slow
def test_numbers_in_a_data_set_are_those_of_the_simulator(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minari = pytest.importorskip("minari")
    (tmp_path / "starting.py").write_text(STARTING)
    words = ["backend=gymnasium", "backend.name=starting:Starting-v0", "allow_imports=true", "max_steps=30", "seed=1"]
    assert cli("rollout", *words, "hydra.run.dir=a").code == 0
    done = cli("export", "a", "format=minari", "allow_imports=true")
    assert done.code == 0, done.err
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "a" / "minari"))
    read = minari.load_dataset(next(iter(minari.list_local_datasets())))
    native = ExoticGym(
        gymnasium.spaces.Dict(
            place=gymnasium.spaces.Discrete(7, start=-3), several=gymnasium.spaces.MultiDiscrete([2, 3], start=[1, 4])
        )
    )
    assert (read.action_space, read.observation_space) == (native.action_space, native.observation_space)
    first = read[0]
    native.reset(seed=1)
    for action in first.actions:
        native.step(action)
    shown = native.shown[: len(first.observations["place"])]
    assert len(shown) == 8
    assert [found["place"] for found in shown] == first.observations["place"].tolist()
    assert [found["several"].tolist() for found in shown] == first.observations["several"].tolist()

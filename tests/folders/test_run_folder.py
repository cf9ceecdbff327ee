from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest

from envcli.errors import ConfigError, EnvError, StoreError, told
from envcli.folders.folder_lock import FolderLock
from envcli.folders.json_file import read_json
from envcli.folders.run_folder import RunFolder
from envcli.folders.run_status import RunStatus


def status(path: Path) -> dict[str, Any]:
    return read_json(path / "status.json")


def test_a_run_that_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with RunFolder(path, "rollout", ["seed=3"]) as folder:
        assert status(path)["state"] == "running"
        assert status(path)["ended"] is None
        folder.write_config({"seed": 3}, 3)
        folder.write_metrics({"steps": 5, "mean": float("nan")})
    assert status(path)["state"] == "finished"
    assert status(path)["error"] is None
    assert status(path)["overrides"] == ["seed=3"]
    manifest = read_json(path / "manifest.json")
    assert manifest["seed"] == 3
    assert {"envcli", "python", "torch", "tensordict", "numpy", "gymnasium"} <= manifest["versions"].keys()
    assert {"platform", "git", "argv", "started"} <= manifest.keys()
    assert read_json(path / "metrics.json") == {"steps": 5, "mean": None}
    assert sorted(p.name for p in path.iterdir()) == ["config.yaml", "manifest.json", "metrics.json", "status.json"]


def run_into(path: Path, error: BaseException, *made: str) -> None:
    with RunFolder(path, "rollout") as folder:
        folder.write_config({}, 0)
        for name in made:
            (path / name).mkdir()
        raise error


@pytest.mark.parametrize("error", [None, FileNotFoundError("run/rollout"), StoreError("run/rollout: gone")])
def test_a_folder_that_is_moved_meanwhile_is_named(tmp_path: Path, error: Exception | None) -> None:
    def run() -> None:
        with RunFolder(tmp_path / "run", "rollout") as folder:
            folder.write_config({}, 0)
            (tmp_path / "run").rename(tmp_path / "moved")
            if error is not None:
                raise error

    with pytest.raises(StoreError, match=r"/run: was moved or removed while the run wrote to it$"):
        run()


def test_an_end_that_cannot_be_written_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def run(error: BaseException) -> None:
        with RunFolder(tmp_path / "run", "rollout") as folder:
            folder.write_config({}, 0)
            monkeypatch.setattr(os, "replace", full)
            raise error

    with pytest.raises(EnvError, match="it broke") as caught:
        run(EnvError("it broke"))
    assert told(caught.value) == f"it broke ({tmp_path}/run/status.json: cannot be written, No space left on device)"


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (EnvError("it\nbroke"), "failed", "it broke"),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
        (KeyboardInterrupt("after 3 steps"), "interrupted", "after 3 steps"),
        (KeyboardInterrupt(), "interrupted", "interrupted"),
    ],
)
def test_a_run_that_ends_badly_says_so(tmp_path: Path, error: BaseException, state: str, text: str) -> None:
    with pytest.raises(type(error)):
        run_into(tmp_path / "a", error)
    found = status(tmp_path / "a")
    assert (found["state"], re.sub(r" in \S*test_run_folder.py, line \d+$", "", found["error"])) == (state, text)


def test_a_ctrl_c_in_its_first_moment_is_in_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = RunStatus.write

    def interrupted(status: RunStatus, state: str, *error: str) -> None:
        write(status, state, *error)
        if state == "running":
            raise KeyboardInterrupt

    monkeypatch.setattr(RunStatus, "write", interrupted)
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path / "run", "rollout", part_of_sweep=True):
        pass
    assert status(tmp_path / "run")["state"] == "interrupted"
    FolderLock(tmp_path / "run").release()  # it is free again


def test_a_mistake_before_the_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError), RunFolder(tmp_path / "outputs" / "rollout" / "a", "rollout"):
        raise ConfigError("no")
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_that_is_found_while_building_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        run_into(tmp_path / "outputs" / "rollout" / "a", ConfigError("no"))
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_that_is_found_late_keeps_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run_into(tmp_path / "a", ConfigError("no"), "rollout")
    assert (status(tmp_path / "a")["state"], status(tmp_path / "a")["error"]) == ("failed", "no")


def test_the_same_mistake_in_a_sweep_is_a_failed_job(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), RunFolder(tmp_path / "a", "rollout", part_of_sweep=True):
        raise ConfigError("no")
    assert status(tmp_path / "a")["error"] == "no"


def test_files_of_an_earlier_run_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ConfigError, match=r"files of an earlier run"), RunFolder(tmp_path, "rollout"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(StoreError, match=r"file/run: cannot be written, not a directory.*hydra.run.dir"),
        RunFolder(tmp_path / "file" / "run", "x"),
    ):
        pass


def test_messages_of_the_run_are_kept_in_it(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a", "x"):
        logging.getLogger("envcli").warning("careful")
    logging.getLogger("envcli").warning("too late")
    text = (tmp_path / "a" / "log.txt").read_text()
    assert "careful" in text
    assert "too late" not in text


def test_what_is_in_the_way_of_a_replacement_is_said_at_once(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", "rollout"):
        pass
    (tmp_path / "run.old").mkdir()
    folder = RunFolder(tmp_path / "run", "rollout", overwrite=True)
    with pytest.raises(ConfigError, match=r"run\.old: is needed to set the earlier run aside"), folder:
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.old"]
    (tmp_path / "run.old").rmdir()
    with folder:
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run"]

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest

from envcli.folders.folder_lock import FolderLock
from envcli.reports.job import Job
from tests.reports.runs import EVIL, write_run


def test_a_run_says_what_it_was_and_gave(tmp_path: Path) -> None:
    words = ("+env=pendulum", "~transforms.resize", "seed=3")
    job = Job.read(write_run(tmp_path / "12_Pendulum-v1", overrides=words, seed=3, return_mean=1.5))
    assert (job.number, job.name, job.command, job.seed, job.state) == (12, "Pendulum-v1", "rollout", "3", "finished")
    assert job.overrides == {"env": "pendulum", "~transforms.resize": "removed", "seed": "3"}
    assert job.metric("return_mean") == 1.5
    assert job.metric("length_mean") is None


def test_a_run_outside_of_a_sweep_has_no_number_and_its_name_above(tmp_path: Path) -> None:
    job = Job.read(write_run(tmp_path / "Pendulum-v1" / "2026-11-29_10-38-36-645027"))
    assert (job.number, job.name) == (None, "Pendulum-v1")


@pytest.mark.parametrize("value", [True, "5", None, [1], float("nan"), float("inf"), 10**400])
def test_what_is_no_measurement_is_none(tmp_path: Path, value: Any) -> None:
    job = Job.read(write_run(tmp_path / "0_x", steps=value, values=[3, value, 1]))
    assert job.metric("steps") is None
    assert job.values("values") == [1, 3]


@pytest.mark.parametrize("text", ["{", "[1]", "\udcff", "[" * 100_000])
def test_a_broken_file_is_a_row_that_says_so(tmp_path: Path, text: str) -> None:
    folder = write_run(tmp_path / "0_x")
    (folder / "metrics.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    job = Job.read(folder)
    assert job.state == "unreadable"
    assert "metrics.json" in (job.error or "")


def test_nothing_that_a_file_holds_moves_the_cursor(tmp_path: Path) -> None:
    words = (f"env={EVIL}", "a=\ud800")
    job = Job.read(write_run(tmp_path / "0_x", "failed", f"two\nlines {EVIL}", words))
    for text in (job.error or "", *job.overrides.values()):
        assert text.isprintable()
        text.encode()


def test_a_run_that_nobody_writes_any_more_was_killed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "0_x", "running")
    assert Job.read(folder).state == "running", "another machine's processes are not known here"
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps({**status, "host": platform.node()}))
    assert Job.read(folder).state == "killed"
    lock = FolderLock(folder)
    assert Job.read(folder).state == "running"
    lock.release()

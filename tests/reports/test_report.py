from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from envcli.errors import StoreError
from envcli.reports import report
from envcli.reports.sweep import Sweep
from tests.reports.runs import write_sweep


def test_three_files_say_the_same(tmp_path: Path) -> None:
    sweep = Sweep.of(write_sweep(tmp_path / "sweep"))
    assert report.write(sweep) == tmp_path / "sweep" / "report.html"
    data = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert (len(data["jobs"]), len(data["groups"]), data["swept"]) == (12, 4, ["env", "frame_skip"])
    assert data["groups"][0]["return_mean"]["count"] == 3
    assert len((tmp_path / "sweep" / "sweep.csv").read_text().splitlines()) == 13
    before = (tmp_path / "sweep" / "report.html").read_bytes()
    report.write(Sweep.of(tmp_path / "sweep"))
    assert (tmp_path / "sweep" / "report.html").read_bytes() == before, "its own files change nothing"


def test_a_link_in_the_place_of_the_report_is_not_followed(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "sweep")
    (tmp_path / "precious").write_text("precious")
    (folder / "report.html").symlink_to(tmp_path / "precious")
    report.write(Sweep.of(folder))
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "sweep")
    folder.chmod(0o500)
    with pytest.raises(StoreError, match="no report can be written there"):
        report.write(Sweep.of(folder))


def test_two_hundred_runs_take_no_time_to_speak_of(tmp_path: Path) -> None:
    """The promise is 3 s, with the start of the interpreter; here 0.2 s of it are usual."""
    folder = write_sweep(tmp_path / "sweep", seeds=5, skips=20)
    start = time.process_time()
    report.write(Sweep.of(folder))
    assert time.process_time() - start < 2.5
    assert (folder / "report.html").stat().st_size < 2_000_000

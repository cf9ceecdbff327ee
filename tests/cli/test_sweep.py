from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from envcli.cli import sweep
from envcli.cli.sweep import SweepWatcher
from envcli.errors import EnvcliError
from envcli.folders.sweep_plan import SweepPlan
from envcli.reports import report
from tests.reports.runs import write_run


def ended(folder: Path, mode: str = "MULTIRUN") -> None:
    config = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(folder)}, "mode": mode}})
    SweepWatcher().on_job_end(config, None)  # type: ignore[arg-type]  # what the task returned does not matter


def test_a_terminal_sees_each_job_as_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_run(tmp_path / "0_x", steps=10, return_mean=1.25, steps_per_second=2000.0)
    bad = write_run(tmp_path / "1_x", "failed", "no gymnasium env 'x'")
    monkeypatch.setattr(sweep, "_seen", [])  # another test may have swept in this process
    ended(good)
    assert capsys.readouterr().err == "", "into a file it would be noise"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ended(good)
    assert capsys.readouterr().err == "", "who launched it says it"
    monkeypatch.setattr(sweep, "_seen", [tmp_path])
    ended(good)
    ended(bad)
    ended(tmp_path / "nothing")
    ended(good, "RUN")
    assert capsys.readouterr() == (
        "",
        "\t#0 finished: return 1.25, steps/s 2,000\n\t#1 failed: no gymnasium env 'x'\n",
    )


def test_what_went_wrong_in_one_job_is_told_apart_from_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        write_run(tmp_path / f"{number}_x", "failed", f"jammed {number}")
    said = "4 of 4 jobs failed. Job 0: jammed 0 | Job 1: jammed 1 | Job 2: jammed 2 | And 1 more."
    with pytest.raises(EnvcliError) as caught, sweep.watched(as_json=False):
        sweep._seen.append(tmp_path)
    assert str(caught.value) == said
    del sweep._seen[:]


def test_without_room_for_the_report_it_is_told_where_the_runs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(sweep: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_run(tmp_path / "0_x")
    monkeypatch.setattr(report, "write", full)
    with sweep.watched(as_json=False):
        sweep._seen.append(tmp_path)
    out, err = capsys.readouterr()
    assert f"kept in {tmp_path}" in out
    assert "report  " not in out
    assert err == "no report: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_after_an_interrupt_the_jobs_that_did_not_begin_are_counted(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "0_x", "interrupted", return_mean=1.5)

    def interrupted() -> None:
        sweep._seen.append(tmp_path)
        SweepPlan("rollout", True, [[f"seed={seed}"] for seed in range(3)]).write(tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sweep.watched(as_json):
        interrupted()
    said = capsys.readouterr()
    assert "2 more jobs did not begin\n" in (said.err if as_json else said.out)
    if as_json:
        assert [job["state"] for job in json.loads(said.out)] == ["interrupted"]
    else:
        assert said.out.split("2 more jobs")[0].count("interrupted") == 1
        assert f"go on   envcli rollout -m resume={tmp_path}" in said.out
    del sweep._seen[:]

from __future__ import annotations

import csv
import io
from pathlib import Path

from envcli.reports import spreadsheet
from envcli.reports.sweep import Sweep
from tests.reports.runs import write_run, write_sweep


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(spreadsheet.text(Sweep.of(folder)))))


def test_a_row_a_job_with_what_differs_and_every_single_metric(tmp_path: Path) -> None:
    found = rows(write_sweep(tmp_path / "sweep"))
    assert len(found) == 12
    assert list(found[0])[:6] == ["job", "env", "frame_skip", "seed", "state", "error"]
    assert (found[1]["env"], found[1]["seed"], found[1]["steps"], found[1]["folder"]) == (
        "pendulum",
        "1",
        "1000",
        "1_pendulum",
    )
    assert "return_quantiles" not in found[0]
    assert (found[5]["state"], found[5]["error"], found[5]["return_mean"]) == ("failed", "pendulum broke down", "")


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    for number, word in enumerate(("=1+1", "@x", "+cmd", "-x", "-1.5")):
        write_run(tmp_path / "sweep" / f"{number}_x", overrides=(f"key={word}",), note="=2", low=-1.5)
    found = rows(tmp_path / "sweep")
    assert [row["key"] for row in found] == ["'=1+1", "'@x", "'+cmd", "'-x", "-1.5"]
    assert (found[0]["note"], found[0]["low"]) == ("'=2", "-1.5")

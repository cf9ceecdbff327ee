from __future__ import annotations

import json
from pathlib import Path

import pytest

from envcli.cli.completion import candidates
from tests.conftest import Command
from tests.reports.runs import write_run, write_sweep


def test_a_report_of_a_sweep(cli: Command, tmp_path: Path) -> None:
    write_sweep(tmp_path / "outputs" / "rollout" / "multirun" / "now")
    done = cli("report", "outputs/rollout/multirun/now")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("finished") == 10
    assert done.out.endswith("report in outputs/rollout/multirun/now/report.html\n")
    found = {path.name for path in (tmp_path / "outputs/rollout/multirun/now").iterdir() if path.is_file()}
    assert found == {"report.html", "sweep.csv", "sweep.json"}


def test_a_report_of_one_run_and_of_everything(cli: Command, tmp_path: Path) -> None:
    write_run(tmp_path / "outputs" / "rollout" / "Pong" / "a")
    write_run(tmp_path / "outputs" / "rollout" / "Qbert" / "b", seed=1)
    assert cli("report", "outputs/rollout/Pong/a").code == 0
    assert (tmp_path / "outputs/rollout/Pong/a/report.html").is_file()
    done = cli("report", "outputs", "json=true")
    answer = json.loads(done.out)
    assert answer == json.loads((tmp_path / "outputs" / "sweep.json").read_text())
    assert [group["settings"] for group in answer["groups"]] == [{"name": "Pong"}, {"name": "Qbert"}]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "report: found no folder, expected one. The last sweep: envcli report outputs/rollout/multirun/2"),
        (["a", "b"], 2, "report: found 2 folders, expected one."),
        (["outputs", "jsn=true"], 2, "no key 'jsn' in report. Did you mean 'json'?"),
        (["outputs", "json=yes"], 2, "json: found 'yes', expected true or false."),
        (["outputs", "-m"], 2, "report: no flag '-m'. See envcli report --help."),
        (["nowhere"], 2, "report: no folder nowhere."),
        (["empty"], 2, "report: empty holds no runs"),
    ],
)
def test_what_cannot_be_meant_is_explained(
    cli: Command, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("1", "2"):
        write_run(tmp_path / "outputs" / "rollout" / "multirun" / name / "0_x")
    done = cli("report", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"error: {message}")
    assert done.err.count("\n") == 1


def test_folders_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "outputs" / "rollout" / "Pong" / "a")
    monkeypatch.chdir(tmp_path)
    assert candidates(["report", ""]) == ["json=true", "outputs/"]
    assert candidates(["report", "outputs/r"]) == ["outputs/rollout/"]
    assert candidates(["report", "outputs/rollout/"]) == ["outputs/rollout/Pong/"]
    assert f"/{tmp_path.parts[1]}/" in candidates(["report", f"/{tmp_path.parts[1][:2]}"])


def test_a_multirun_leaves_its_report_also_where_jobs_failed(cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", "-m", "backend.name=CartPole-v1,CartPol-v1", "seed=1,2", "max_steps=50", "hydra.sweep.dir=s")
    assert done.code == 1
    assert done.out.endswith("kept in s\nreport  s/report.html\n")
    html = (tmp_path / "s" / "report.html").read_text()
    assert "2 failed" in html
    assert "no gymnasium env &#x27;CartPol-v1&#x27;" in html
    data = json.loads((tmp_path / "s" / "sweep.json").read_text())
    first = data["groups"][0]
    assert (first["settings"], first["seeds"], first["return_mean"]["count"]) == (
        {"backend.name": "CartPole-v1"},
        [1, 2],
        2,
    )
    assert data["jobs"][0]["metrics"]["name"] == "CartPole-v1"
    assert "<circle" in html


def test_the_last_sweep_is_a_folder(tmp_path: Path, cli: Command) -> None:
    sweeps = tmp_path / "outputs" / "rollout" / "multirun"
    (sweeps / "2026-01-31").mkdir(parents=True)
    (sweeps / "sweep.json").touch()
    done = cli("report", "nope")
    assert done.err == (
        "error: report: no folder nope. The last sweep: envcli report outputs/rollout/multirun/2026-01-31\n"
    )

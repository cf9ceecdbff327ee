from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from envcli.bench.baseline import Baseline
from envcli.errors import ConfigError, EnvcliError
from envcli.folders.json_file import write_json


def result(seconds: float, **other: Any) -> dict[str, Any]:  # Any: what JSON can hold
    samples = [{"steps": 100, "wall": seconds, "cpu": seconds}] * 3
    work = {"subject": "envcli", "clock": "wall", "workload": {"max_steps": 100}, "settings": {"threads": 1}}
    work["machine"] = {"cpu": "Toy", "cores": 2, "date": "today"}
    return {**work, "contenders": {"envcli": {"samples": samples}}, **other}


@pytest.fixture
def baseline(tmp_path: Path) -> Baseline:
    write_json(tmp_path / "bench.json", result(1.0))
    return Baseline(tmp_path)


def test_a_slowdown_is_how_many_times_as_long(baseline: Baseline) -> None:
    assert baseline.slowdown(result(1.5)) == pytest.approx(1.5)
    baseline.judge(result(1.5), most=1.6)
    with pytest.raises(EnvcliError, match=r"envcli takes 1.5 times as long as in .*, which is beyond max_slowdown=1.4"):
        baseline.judge(result(1.5), most=1.4)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"clock": "cpu"}, "is not comparable, clock: wall, now cpu"),
        ({"workload": {"max_steps": 200}}, "is not comparable, workload: max_steps"),
        ({"settings": {"threads": 2}}, "is not comparable, threads: 1, now 2"),
    ],
)
def test_other_work_is_not_compared(baseline: Baseline, other: dict[str, Any], message: str) -> None:
    baseline.require_same(result(9.0))
    with pytest.raises(ConfigError, match=message):
        baseline.require_same(result(1.0, **other))


def test_another_machine_is_noted(baseline: Baseline) -> None:
    assert len(baseline.notes(result(1.5))) == 1
    slow, other = baseline.notes(result(1.5, machine={"cpu": "Toy", "cores": 4, "date": "tomorrow"}))
    assert slow.startswith("a step takes 1.5 times as long as in ")
    assert other.endswith("2 cores of Toy, now 4 cores of Toy")


def test_the_file_stands_for_its_folder(baseline: Baseline) -> None:
    named = Baseline(baseline.folder / "bench.json")
    assert named.folder == baseline.folder
    assert named.slowdown(result(1.5)) == baseline.slowdown(result(1.5))


def test_a_folder_without_a_measurement_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"baseline: found no .*bench.json"):
        Baseline(tmp_path / "nowhere")

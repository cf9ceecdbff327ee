from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from envcli.bench import report
from envcli.bench.sample import Sample


def result(  # Any: what JSON can hold
    ours: list[float], theirs: list[float], load: float = 0.0, frames: int | None = 4
) -> dict[str, Any]:
    samples = {"envcli": [Sample(100, s, 2 * s) for s in ours], "native": [Sample(100, s, s) for s in theirs]}
    contenders = report.compared(samples, "envcli", "wall", dict.fromkeys(samples, frames))
    for data in contenders.values():
        data |= {
            "frames_per_step": frames,
            "start_seconds": 1.0,
            "memory": {"main": 10_000_000, "others": [5_000_000, None, 7_000_000]},
        }
    versions = {"envcli": "1", "python": "3", "torch": "2"}
    machine = {"date": "today", "cpu": "Toy", "cores": 2, "load": load, "versions": versions}
    settings = {"repetitions": len(ours), "seconds": 0.3, "threads": 1}
    about = {"name": "Toy-v0", "parallel": "processes", "envs": 8, "workers": 2, "steps": 100}
    found = {**about, "subject": "envcli", "clock": "wall", "settings": settings, "machine": machine}
    found["contenders"] = contenders
    found["notes"] = report.notes(found)
    return found


def drawn(found: dict[str, Any]) -> str:  # Any: what JSON can hold
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.table(found))
    return console.export_text()


def test_the_table_says_how_fast_and_how_many_times_as_fast() -> None:
    text = drawn(result([0.5, 0.5, 0.5], [1.0, 1.0, 1.0]))
    for part in ("Toy-v0, 8 envs in 2 workers", "200", "800", "5,000", "10,000", "2x ±0 %", "10 + 2 x 7 MB", "of Toy"):
        assert part in text
    assert "note:" not in text


def test_the_title_says_how_many_envs() -> None:
    alone = {**result([1.0], [2.0]), "parallel": "none"}
    assert "Toy-v0, 8 envs at once" in drawn(alone)
    assert "Toy-v0, one env" in drawn({**alone, "envs": 1})


def test_frames_have_no_column_where_a_step_is_one() -> None:
    assert "frames/s" not in drawn(result([1.0], [2.0], frames=1))
    assert "frames/s" not in drawn(result([1.0], [2.0], frames=None))


def test_one_sample_knows_no_spread() -> None:
    found = result([0.5], [1.0])
    assert found["contenders"]["envcli"]["steps_per_second"]["spread"] is None
    text = drawn(found)
    assert text.count("±") == 1, "only the column's name"
    assert "1 repetition in turn" in text
    assert "2 repetitions in turn" in drawn(result([0.5, 0.5], [1.0, 1.0]))


def test_raw_samples_are_kept() -> None:
    found = result([0.5, 0.6], [1.0, 1.0])
    assert found["contenders"]["envcli"]["samples"][1] == {"steps": 100, "wall": 0.6, "cpu": 1.2}
    assert found["contenders"]["native"]["subject_is"]["cpu"]["median"] < 1


def test_a_difference_within_the_spread_is_noted() -> None:
    noisy = result([1.0, 2.0, 3.0, 4.0], [1.1, 1.1, 4.0, 3.0])
    assert ["too noisy" in " ".join(note.split()) for note in noisy["notes"]] == [True]
    assert "too noisy" in drawn(noisy)


def test_a_busy_machine_is_noted() -> None:
    assert "busy before the start: load 3.0 on 2 cores" in result([1.0], [2.0], load=3.0)["notes"][0]

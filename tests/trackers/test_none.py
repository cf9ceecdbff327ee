from __future__ import annotations

from pathlib import Path

from envcli.trackers.none import NoneTracker


def test_it_writes_nothing(tmp_path: Path) -> None:
    with NoneTracker(tmp_path) as tracker:
        tracker.begin({"seed": 0})
        tracker.log({"return": 1.0}, 1)
        tracker.keep(tmp_path / "poster.png")
        tracker.end({"steps": 1})
    assert not list(tmp_path.iterdir())

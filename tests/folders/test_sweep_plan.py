from __future__ import annotations

from pathlib import Path

import pytest

from envcli.errors import StoreError
from envcli.folders.sweep_plan import SweepPlan


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = SweepPlan("rollout", True, [["env=pendulum", "seed=0"], []])
    plan.write(tmp_path / "made")
    assert SweepPlan.read(tmp_path / "made") == plan
    assert SweepPlan.read(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"command": "rollout", "jobs": []}',
        '{"command": "rollout", "complete": true, "jobs": ["seed=0"]}',
        '{"command": "rollout", "complete": true, "jobs": [[0]]}',
    ],
)
def test_what_is_no_plan_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "jobs.json").write_text(text)
    with pytest.raises(StoreError, match=r"jobs\.json"):
        SweepPlan.read(tmp_path)

"""One multirun at a time in a folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from envcli.cli import sweep_lock
from envcli.errors import StoreError
from envcli.folders.sweep_plan import SweepPlan
from tests.conftest import ROOT, Command

HOLD = """
import sys
from pathlib import Path
from envcli.cli import sweep_lock
sweep_lock.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_sweep(folder: Path) -> Iterator[None]:
    """Inside, another process runs one in ``folder``."""
    command, pipe = [sys.executable, "-c", HOLD, str(folder)], subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate()


def test_a_second_one_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    swept = tmp_path / "a" / "swept"
    with another_sweep(swept):
        for _ in range(2):
            with sweep_lock.let_go_after(), pytest.raises(StoreError, match=r"swept: a sweep is running there already"):
                sweep_lock.hold(swept)
    with sweep_lock.let_go_after():
        sweep_lock.hold(swept)
        sweep_lock.hold(swept)
    with another_sweep(swept):
        assert [path.name for path in swept.iterdir()] == [".lock"]


def test_what_another_sweep_made_is_left_alone(cli: Command, tmp_path: Path) -> None:
    swept = tmp_path / "swept"
    plan = SweepPlan("rollout", True, [["seed=7"], ["seed=8"]])
    plan.write(swept)
    refused = f"error: {swept}: a sweep is running there already. Wait until it ends, or end it\n"
    with another_sweep(swept):
        begun = cli("rollout", "-m", "seed=1,2", "max_steps=5", "hydra.sweep.dir=swept")
        assert (begun.code, begun.out) == (1, "")
        assert begun.err.endswith(refused)
        resumed = cli("rollout", "-m", "resume=swept")
        assert (resumed.code, resumed.out) == (1, "")
        assert resumed.err.endswith(refused)
        assert SweepPlan.read(swept) == plan
        assert not list(swept.glob("*/status.json"))


def test_a_sweep_begins_where_an_earlier_one_was_interrupted(cli: Command, tmp_path: Path) -> None:
    swept = tmp_path / "swept"
    swept.mkdir()
    (swept / ".interrupted").touch()
    assert cli("rollout", "-m", "seed=1,2", "max_steps=5", "hydra.sweep.dir=swept").code == 0
    assert not (swept / ".interrupted").exists()

from __future__ import annotations

from pathlib import Path

from envcli.folders.folder_lock import FolderLock
from envcli.folders.run_status import RunStatus, run_state


def test_a_run_that_nobody_holds_was_killed(tmp_path: Path) -> None:
    status = RunStatus(tmp_path, ["seed=3"])
    assert status.read() == {}
    status.write("running")
    lock = FolderLock(tmp_path)
    assert run_state(tmp_path, status.read()) == "running"
    lock.release()
    assert run_state(tmp_path, status.read()) == "killed"
    assert run_state(tmp_path, {**status.read(), "host": "elsewhere"}) == "running", "nobody here can know"


def test_an_earlier_status_is_restored(tmp_path: Path) -> None:
    earlier = RunStatus(tmp_path, [])
    earlier.write("failed", "it broke")
    before = earlier.read()
    now = RunStatus(tmp_path, [])
    now.write("running")
    now.restore(before)
    assert now.read() == before

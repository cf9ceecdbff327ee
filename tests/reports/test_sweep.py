from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from envcli.reports.sweep import Sweep
from tests.reports.runs import write_run, write_sweep


def test_jobs_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        write_run(tmp_path / f"{number}_x")
    assert [job.number for job in Sweep.of(tmp_path).jobs] == [1, 9, 10]


def test_what_differs_is_told_from_what_is_shared(tmp_path: Path) -> None:
    sweep = Sweep.of(write_sweep(tmp_path / "sweep"))
    assert sweep.swept == ["env", "frame_skip"]
    assert sweep.shared == {"max_steps": "1000"}
    assert (sweep.states["finished"], len(sweep.failed)) == (10, 2)
    assert [sweep.label(job) for job in sweep.jobs[:2]] == ["0", "1"]


def test_jobs_that_differ_in_the_seed_alone_are_one_group(tmp_path: Path) -> None:
    sweep = Sweep.of(write_sweep(tmp_path / "sweep"))
    assert [group.label() for group in sweep.groups] == [
        f"env={env}, frame_skip={skip}" for env in ("pendulum", "cartpole") for skip in (1, 2)
    ]
    first, second = sweep.groups[:2]
    assert first.label(among=(first, second)) == "frame_skip=1"
    means = [job.metrics["return_mean"] for job in first.jobs]
    found = first.mean("return_mean")
    assert found is not None
    assert found.mean == pytest.approx(sum(means) / 3)
    assert found.spread == pytest.approx((sum((m - found.mean) ** 2 for m in means) / 2) ** 0.5)
    assert second.mean("return_mean").count == 2  # type: ignore[union-attr]  # its third job failed
    assert len(first.values("return_quantiles")) == 60
    assert first.mean("no_such") is None


def test_a_tree_is_searched_but_not_inside_of_runs_and_not_through_links(tmp_path: Path) -> None:
    write_run(tmp_path / "outputs" / "rollout" / "Pong" / "a", seed=1)
    outer = write_run(tmp_path / "outputs" / "bench" / "Pong" / "b", command="bench")
    write_run(outer / "suite" / "c")
    write_run(tmp_path / "elsewhere" / "d")
    (tmp_path / "outputs" / "link").symlink_to(tmp_path / "elsewhere")
    sweep = Sweep.of(tmp_path / "outputs")
    assert [sweep.label(job) for job in sweep.jobs] == ["bench/Pong/b", "rollout/Pong/a"]
    assert sweep.settings(sweep.jobs[0]) == {"command": "bench"}


def test_a_single_run_is_a_sweep_of_one(tmp_path: Path) -> None:
    sweep = Sweep.of(write_run(tmp_path / "Pong" / "2026-01-01", overrides=("env=pong",)))
    assert [sweep.label(job) for job in sweep.jobs] == ["2026-01-01"]
    assert (sweep.swept, sweep.repeated, sweep.groups[0].label()) == ([], False, "Pong")


def test_a_folder_into_which_nobody_may_look_is_a_run_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "0_x")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refusing(path: str) -> Iterator[os.DirEntry[str]]:  # the user of a test may be root
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = {job.folder.name: (job.state, job.error) for job in Sweep.of(tmp_path).jobs}
    assert found == {
        "0_x": ("finished", None),
        "closed": ("unreadable", f"{tmp_path}/closed: cannot be read, permission denied"),
    }

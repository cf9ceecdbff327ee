from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from envcli.reports.group import Mean
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


def test_a_seed_that_ran_twice_is_one_seed(tmp_path: Path) -> None:
    for number, (seed, level) in enumerate([(0, 10.0), (1, 20.0), (0, 10.0), (1, 24.0)]):
        write_run(tmp_path / f"{number}_x", overrides=(f"seed={seed}",), seed=seed, return_mean=level)
    sweep = Sweep.of(tmp_path)
    (group,) = sweep.groups
    assert (sweep.repeated, sweep.again) == (True, True)
    assert group.mean("return_mean") == Mean(16.0, pytest.approx(72**0.5), 2)
    assert (group.counted(["return_mean"]), group.counted(["return_mean"], runs=True)) == ("2", "4")
    assert (group.data()["seeds"], group.data()["runs"]) == ([0, 1], 4)


def test_one_seed_that_ran_twice_has_no_spread(tmp_path: Path) -> None:
    for number in range(2):
        write_run(tmp_path / f"{number}_x", overrides=("seed=7",), seed=7, return_mean=10.0)
    sweep = Sweep.of(tmp_path)
    assert sweep.groups[0].mean("return_mean") == Mean(10.0, None, 1)
    assert not sweep.repeated


def test_episodes_of_a_run_and_of_its_repetition_are_shown_once(tmp_path: Path) -> None:
    for number, values in enumerate(([1, 2], [1, 2], [1, 3])):
        write_run(tmp_path / f"{number}_x", overrides=("seed=7",), seed=7, return_quantiles=values)
    assert Sweep.of(tmp_path).groups[0].values("return_quantiles") == [1, 1, 2, 3]


def test_a_mean_is_of_the_seeds_that_have_the_number(tmp_path: Path) -> None:
    write_run(tmp_path / "0_x", seed=1, return_mean=5.0, steps_per_second=1.0)
    write_run(tmp_path / "1_x", "failed", "boom", seed=2)
    write_run(tmp_path / "2_x", seed=3, return_mean=15.0, steps_per_second=3.0)
    write_run(tmp_path / "3_x", seed=4, steps_per_second=5.0)  # no episode ended
    (group,) = Sweep.of(tmp_path).groups
    keys = ["return_mean", "steps_per_second"]
    assert group.counted(keys) == "3 of 4"
    assert group.averaged(keys) == ["10 ± 7.1 (of 2)", "3 ± 2"]


def test_the_same_value_spelt_in_two_ways_is_one_setting(tmp_path: Path) -> None:
    for seed, words in enumerate((("a=1000", "b=true"), ("a=1_000", "b=True"), ("+a=1000", "b=TRUE", "json=true"))):
        write_run(tmp_path / f"{seed}_x", overrides=(*words, f"seed={seed}"), seed=seed)
    sweep = Sweep.of(tmp_path)
    assert (sweep.swept, len(sweep.groups)) == ([], 1)
    assert sweep.shared == {"a": "1000", "b": "true"}


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

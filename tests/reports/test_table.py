from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from envcli.reports import spreadsheet, table
from envcli.reports.sweep import Sweep
from tests.reports.runs import EVIL, some_metrics, write_run, write_sweep


def lines(folder: Path, width: int) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system=None).print(
        table.drawn(Sweep.of(folder)), crop=False
    )
    return file.getvalue().splitlines()


def test_a_sweep_fits_into_80_characters_unbroken(tmp_path: Path) -> None:
    found = lines(write_sweep(tmp_path / "sweep"), 80)
    assert sum("finished" in line for line in found) == 10
    assert len(found) == (2 + 12) + 1 + (2 + 4) + 1
    assert found[0].split() == ["job", "env", "frame_skip", "seed", "state", "episodes", "return", "length", "steps/s"]
    assert found[-1].strip() == "each of 1,000 steps"
    assert "±" in found[-2]


def test_a_long_setting_breaks_and_numbers_do_not(tmp_path: Path) -> None:
    for number in range(2):
        words = ("transforms=[" + ",".join(["step_counter"] * 9 * (number + 1)) + "]",)
        write_run(tmp_path / "sweep" / f"{number}_x", overrides=words, steps=1_000_000 + number)
    found = lines(tmp_path / "sweep", 60)
    assert max(map(len, found)) <= 60
    assert any("1,000,001" in line for line in found)


def test_a_stranger_cannot_draw_on_the_terminal(tmp_path: Path) -> None:
    for number in range(2):
        write_run(tmp_path / "sweep" / f"{number}_x", overrides=(f"env=[red]{EVIL}{number}",))
    text = "\n".join(lines(tmp_path / "sweep", 200))
    assert "\x1b" not in text
    assert "[red]" in text


def test_returns_are_said_to_be_of_rewards_that_were_changed(tmp_path: Path) -> None:
    def write(folder: str, number: int, *kinds: str) -> None:
        metrics = {**some_metrics(number), "reward_transforms": [*kinds]}
        write_run(tmp_path / folder / f"{number}_x", overrides=(f"frame_skip={number}",), **metrics)

    for number in range(2):
        write("all", number, "VecNorm")
        write("some", number, *["VecNorm", "RewardClipping"][: 2 * number])
    assert lines(tmp_path / "all", 80)[-1].strip() == "returns are of rewards after VecNorm"
    assert (
        lines(tmp_path / "some", 80)[-1].strip() == "returns are of rewards after VecNorm and RewardClipping (jobs 1)"
    )
    assert not any("rewards" in line for line in lines(write_sweep(tmp_path / "none"), 80))


def test_in_a_narrow_terminal_no_column_vanishes_and_no_number_breaks(tmp_path: Path) -> None:
    found = lines(write_sweep(tmp_path / "sweep"), 40)
    assert found[1].split() == ["job", "env", "ip", "seed", "state", "episodes", "return", "length", "steps/s"]
    assert found[3].split()[:5] == ["0", "pendulum", "1", "0", "finished"]
    assert found[3].split()[-1] == str(table.number(Sweep.of(tmp_path / "sweep").jobs[0].metric("steps_per_second")))


def test_runs_with_little_in_common_show_what_was_typed_in_one_column(tmp_path: Path) -> None:
    for number in range(12):
        write_run(tmp_path / "all" / f"{number}_x", overrides=(f"key_{number}={number}", f"seed={number}"))
    found = lines(tmp_path / "all", 200)
    assert found[0].split()[-1] == "typed"
    assert [line.split()[-1] for line in found[2:14]] == [f"key_{number}={number}" for number in range(12)]


def test_seeds_are_not_compared_where_nothing_was_measured(tmp_path: Path) -> None:
    for number in range(2):
        write_run(tmp_path / "sweep" / f"{number}_x", "interrupted", seed=number)
    assert len(lines(tmp_path / "sweep", 80)) == 2 + 2


def test_seeds_that_failed_or_ran_again_are_not_counted_as_more(tmp_path: Path) -> None:
    for number, seed in enumerate((1, 2, 3, 1)):
        state = "failed" if seed == 2 else "finished"
        write_run(
            tmp_path / f"{number}_x", state, overrides=(f"seed={seed}",), seed=seed, steps=5, return_mean=5 * seed
        )
    found = lines(tmp_path, 80)
    assert found[7].split() == ["seeds", "runs", "return"]
    assert found[9].split() == ["2", "of", "3", "3", "of", "4", "10", "±", "7.1"]
    assert found[10].strip() == "runs of the same seed are averaged first, and count as one"
    assert "runs" not in "".join(lines(write_sweep(tmp_path / "once"), 80))


def test_a_group_of_which_all_failed_has_no_seed(tmp_path: Path) -> None:
    for number, (env, state) in enumerate((("a", "finished"), ("a", "finished"), ("b", "failed"))):
        words = (f"env={env}", f"seed={number}")
        write_run(tmp_path / f"{number}_x", state, overrides=words, seed=number, steps=5, return_mean=5)
    assert lines(tmp_path, 80)[9].split() == ["b", "0", "of", "1", "-"]


def test_films_have_no_returns_and_are_not_counted_as_failed(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path / f"rollout/x/{seed}", seed=seed, steps=5, return_mean=5)
    write_run(tmp_path / "render/x/0", command="render", frames=6)
    write_run(tmp_path / "render/x/1", command="render", frames=6)
    found = [line.split() for line in lines(tmp_path, 80)]
    assert ["command", "seeds", "runs", "return"] in found
    assert ["render", "-", "-", "-"] in found
    assert ["rollout", "2", "2", "5", "±", "0"] in found


def test_groups_of_agents_have_their_returns(tmp_path: Path) -> None:
    for seed in range(2):
        paid = {"predators": {"mean": 2.5 + seed, "min": 0.0}, "preys": {"mean": -seed}, "idle": {"mean": None}}
        metrics = {"steps": 5, "episodes": 2, "length_mean": 25, "return_mean": None, "group_returns": paid}
        write_run(tmp_path / f"{seed}_x", overrides=(f"seed={seed}",), seed=seed, **metrics)
    found = lines(tmp_path, 80)
    assert "  ".join(found[0].split()) == "job  seed  state  episodes  return  predators  return  preys  length"
    assert found[3].split() == ["1", "1", "finished", "2", "3.5", "-1", "25"]
    assert found[-2].split() == ["2", "3", "±", "0.71", "-0.5", "±", "0.71", "25", "±", "0"]
    (group,) = Sweep.of(tmp_path).data()["groups"]
    assert group["group_returns.preys"]["mean"] == -0.5
    head, first, _ = spreadsheet.text(Sweep.of(tmp_path)).splitlines()
    assert dict(zip(head.split(","), first.split(","), strict=True))["group_returns.predators"] == "2.5"


@pytest.mark.parametrize("strange", [3, ["a"], {"a": 1}, {"a": {"mean": "x"}}, {f"{EVIL}": {"mean": True}}])
def test_returns_of_groups_that_a_stranger_wrote_are_left_out(strange: object, tmp_path: Path) -> None:
    write_run(tmp_path / "0_x", return_mean=1.0, group_returns=strange)
    assert lines(tmp_path, 80)[0].split() == ["job", "state", "return"]
    many = {f"group {i}": {"mean": 1.0} for i in range(1000)}
    write_run(tmp_path / "1_x", return_mean=1.0, group_returns=many)
    assert lines(tmp_path, 80)[0].count("return group") == 8

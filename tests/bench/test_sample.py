from __future__ import annotations

import pytest

from envcli.bench.sample import Sample, Summary, ratios, speeds, summary


def test_the_median_forgets_an_outlier() -> None:
    found = summary([10.0, 11.0, 12.0, 13.0, 1000.0])
    assert found.median == 12
    assert (found.low, found.high) == (11, 13)
    assert found.spread == pytest.approx(1 / 12)


def test_one_value_has_no_spread() -> None:
    assert summary([3.0]) == Summary(3, 3, 3)
    assert summary([3.0]).spread == 0


def test_speeds_are_of_either_clock() -> None:
    samples = [Sample(steps=100, wall=2.0, cpu=4.0)]
    assert speeds(samples, "wall") == [50]
    assert speeds(samples, "cpu") == [25]


def test_ratios_are_of_pairs_so_that_a_drifting_machine_hurts_both() -> None:
    """Three times as slow from round to round, yet always twice as fast as the other: the spread is none."""
    ours = [Sample(100, wall, wall) for wall in (1.0, 3.0, 9.0)]
    theirs = [Sample(50, wall, wall) for wall in (1.0, 3.0, 9.0)]
    assert ratios(ours, theirs) == Summary(2, 2, 2)


def test_a_ratio_is_clear_where_it_differs_from_1_by_more_than_its_spread() -> None:
    assert Summary(1.1, 1.08, 1.12).clear
    assert Summary(0.9, 0.88, 0.92).clear
    assert not Summary(1.1, 0.9, 1.3).clear


def test_a_clock_that_did_not_move_divides_nothing_by_0() -> None:
    assert speeds([Sample(1, 0.0, 0.0)], "cpu")[0] > 0

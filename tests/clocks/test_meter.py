from __future__ import annotations

import time

import pytest

from envcli.clocks.meter import Meter


def busy(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def test_each_part_has_what_is_its_own_and_all_sum_to_the_whole() -> None:
    meter = Meter((0.0, 0.0))
    inner = meter.timed("inner", lambda: busy(0.002))

    def work() -> None:
        busy(0.001)
        inner()
        inner()

    outer = meter.timed("outer", work, spans=True)
    outer()
    reading = meter.reading()
    (begin, end), parts = reading["spans"]["outer"][0], reading["parts"]
    assert sum(parts.values()) == end - begin
    assert parts["inner"] >= 4e6
    assert parts["outer"] >= 1e6
    assert reading["calls"] == 3


def test_what_raises_is_timed_too() -> None:
    meter = Meter((0.0, 0.0))

    def fail() -> None:
        busy(0.001)
        raise KeyError("x")

    outer = meter.timed("outer", meter.timed("inner", fail))
    with pytest.raises(KeyError):
        outer()
    assert meter.reading()["parts"]["inner"] >= 1e6
    meter.clear()
    assert meter.reading()["parts"] == {}
    meter.timed("later", busy)(0.0)
    assert list(meter.reading()["parts"]) == ["later"]


def test_what_clocks_cost_is_taken_off_and_named() -> None:
    meter = Meter((10.0, 1.0))
    inner = meter.timed("inner", lambda: None)
    meter.timed("outer", lambda: [inner() for _ in range(5)])()
    reading = meter.reading()
    assert reading["clocks"] == 6 * 10 + 5 * 1  # around the outermost call there is nobody to be charged
    assert 0 < sum(Meter()._costs) < 1e5  # nanoseconds


def test_results_and_names_are_those_of_the_function() -> None:
    """Hooks are looked at by who binds them."""
    timed = Meter((0.0, 0.0)).timed("part", busy)
    assert timed.__name__ == "busy"
    assert Meter((0.0, 0.0)).timed("part", divmod)(7, 3) == (2, 1)

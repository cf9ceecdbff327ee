from __future__ import annotations

import pytest

from envcli.reports.scale import Scale


@pytest.mark.parametrize(
    "values", [[0], [5], [-1e-9, 1e-9], [-1800, -700.5], [0.1, 0.2, 1e6], [1e-300], [1e99, -1e99], [3, 3.0000001]]
)
@pytest.mark.parametrize("from_zero", [True, False])
def test_all_values_lie_on_the_axis_and_its_ends_are_marked(values: list[float], from_zero: bool) -> None:
    scale = Scale(values, from_zero)
    shares = [scale.share(value) for value in values]
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in shares), shares
    assert (scale.share(scale.ticks[0]), scale.share(scale.ticks[-1])) == (0, 1)
    assert 2 <= len(scale.ticks) <= 9
    assert not from_zero or 0 in scale.ticks
    assert len({scale.label(tick) for tick in scale.ticks}) == len(scale.ticks)


def test_values_far_apart_may_have_equal_factors_at_equal_distances() -> None:
    scale = Scale([1, 2, 32], may_be_log=True)
    assert [scale.label(tick) for tick in scale.ticks] == ["1", "2", "4", "8", "16", "32"]
    assert scale.share(2) == pytest.approx(0.2)
    assert not Scale([0, 2, 32], may_be_log=True).log
    assert [Scale([10, 1e6], may_be_log=True).label(tick) for tick in (10, 1e3, 1e6)] == ["10", "1k", "1M"]

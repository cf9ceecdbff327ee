"""What draws between bounds. The distributions are tested through Bounded and Unbounded."""

from __future__ import annotations

import math
import pickle

import torch

from envcli.specs import ContinuousBox
from envcli.specs.interval import FloatInterval, IntegerInterval, Interval


def test_the_dtype_decides() -> None:
    assert isinstance(Interval.of(ContinuousBox(torch.zeros(2), torch.ones(2))), FloatInterval)
    assert isinstance(Interval.of(ContinuousBox(torch.tensor(0), torch.tensor(3))), IntegerInterval)


def test_one_draw_of_any_size_is_one_stream() -> None:
    interval = Interval.of(ContinuousBox(torch.zeros(2), torch.ones(2)))
    torch.manual_seed(1)
    values = interval.draw((3, 2))
    assert values.shape == (3, 2)
    torch.manual_seed(1)
    assert torch.equal(pickle.loads(pickle.dumps(interval)).draw((3, 2)), values)


def test_a_single_point() -> None:
    for value in (
        torch.tensor(3.5),
        torch.tensor(7),
        torch.tensor(2**63 - 1),
        torch.tensor(-math.pi, dtype=torch.float64),
    ):
        assert bool((Interval.of(ContinuousBox(value, value)).draw((20,)) == value).all())


def test_rejection_meets_every_value() -> None:
    low, high = torch.tensor([0, 5]), torch.tensor([2**40 + 1, 9])
    draws = IntegerInterval(ContinuousBox(low, high)).draw((2000, 2))
    assert bool(((draws >= low) & (draws <= high)).all())
    assert draws[:, 1].unique().tolist() == [5, 6, 7, 8, 9]
    assert int(draws[:, 0].max()) > 2**39

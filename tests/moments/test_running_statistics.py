"""RunningStatistics: where the numbers are, whatever they mean."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from envcli.errors import TransformError
from envcli.memory.mapped import mapped
from envcli.moments.running_averages import RunningAverages
from envcli.moments.running_statistics import RunningStatistics
from envcli.moments.running_sums import RunningSums

kinds = pytest.mark.parametrize("kind", [RunningAverages, RunningSums])
Kind = type[RunningAverages] | type[RunningSums]


def after(statistics: RunningStatistics, *values: float) -> list[float]:
    for value in values:
        statistics.update(np.array([[value]]), 1.0)
    mean: list[float] = statistics.moments(1e-9)[0].tolist()
    return mean


@kinds
def test_memory_stays_the_same(kind: Kind) -> None:
    statistics = kind(torch.Size([3]))
    before = dict(statistics.tensors)
    values = np.ones((2, 3), dtype=np.float32)
    statistics.update(values, 0.9)
    assert all(statistics.tensors[part] is before[part] for part in before)
    assert before["count"].item() == 2
    assert (values == 1).all()


@kinds
def test_copies_are_whole_and_apart(kind: Kind) -> None:
    statistics = kind(torch.Size([1]))
    after(statistics, 2.0)
    for copied in (copy.deepcopy(statistics), pickle.loads(pickle.dumps(statistics))):
        assert after(copied, 4.0) == [3]
    assert after(statistics) == [2]


@kinds
def test_shared_and_adopted_memory_is_what_is_written(kind: Kind) -> None:
    one, other = kind(torch.Size([1])), kind(torch.Size([1]))
    one.share()
    other.adopt(one.tensors)
    after(other, 4.0)
    assert all(mapped(tensor) is not None for tensor in one.tensors.values())
    assert after(one) == [4]
    with pytest.raises(TransformError, match=r"expected (sum|loc) as torch.float64 \[1\] on cpu, found torch.float32"):
        one.adopt({part: tensor.float() for part, tensor in one.tensors.items()})


@kinds
def test_numbers_without_dimensions_are_shared_too(kind: Kind) -> None:
    one, other = kind(torch.Size([])), kind(torch.Size([]))
    one.update(np.array([2.0]), 1.0)
    one.share()
    other.adopt(one.tensors)
    other.update(np.array([4.0]), 1.0)
    assert one.moments(1e-9)[0].item() == 3


@kinds
def test_of_nothing_and_of_one_value(kind: Kind) -> None:
    statistics = kind(torch.Size([1]))
    for decay in (1.0, 0.5):
        assert [part.tolist() for part in statistics.moments(0.25, decay)] == [[0], [1]]
    statistics.update(np.array([[7.0]]), 1.0)
    assert [float(part[0]) for part in statistics.moments(0.25)] == [7, 0.5], "the variance is a quarter at least"

"""RunningSums: mean and variance of a stream."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import torch

from envcli.memory.shared_memory import mapped
from envcli.moments.running_sums import RunningSums


def test_weights_written_out() -> None:
    sums = RunningSums(torch.Size([2]))
    parts = [np.array([[1.0, -4.0], [3.0, 0.0]]), np.array([[5.0, 8.0]]), np.array([[2.0, 2.0]])]
    for part in parts:
        sums.update(part, 0.5)
    weights = np.array([0.25, 0.25, 0.5, 1.0])
    seen = np.concatenate(parts)
    mean, std = sums.moments(1e-9)
    np.testing.assert_allclose(mean, np.average(seen, axis=0, weights=weights))
    np.testing.assert_allclose(std**2, np.average((seen - mean) ** 2, axis=0, weights=weights))
    assert sums.tensors["count"].tolist() == [2.0]


def test_of_nothing_and_of_one_value() -> None:
    sums = RunningSums(torch.Size([]))
    assert [part.tolist() for part in sums.moments(0.25)] == [0, 1]
    sums.update(np.array([7.0]), 1.0)
    assert [float(part) for part in sums.moments(0.25)] == [7, 0.5], "the variance is taken for a quarter at least"


def test_memory_stays_the_same() -> None:
    sums = RunningSums(torch.Size([3]))
    before = dict(sums.tensors)
    sums.update(np.ones((2, 3), dtype=np.float32), 0.9)
    assert all(sums.tensors[part] is before[part] for part in before)
    assert before["sum"].tolist() == [2, 2, 2]


def test_copies_are_whole_and_apart() -> None:
    sums = RunningSums(torch.Size([1]))
    sums.update(np.array([[2.0]]), 1.0)
    for copied in (copy.deepcopy(sums), pickle.loads(pickle.dumps(sums))):
        copied.update(np.array([[4.0]]), 1.0)
        assert copied.tensors["sum"].tolist() == [6]
        assert copied.moments(1e-9)[0].tolist() == [3]
    assert sums.tensors["sum"].tolist() == [2]


def test_shared_and_adopted_memory_is_what_is_written() -> None:
    one, other = RunningSums(torch.Size([1])), RunningSums(torch.Size([1]))
    one.share()
    other.adopt(one.tensors)
    other.update(np.array([[4.0]]), 1.0)
    assert mapped(one.tensors["sum"]) is not None
    assert one.moments(1e-9)[0].tolist() == [4]

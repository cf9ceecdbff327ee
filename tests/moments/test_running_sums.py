"""RunningSums: mean and variance of a stream."""

from __future__ import annotations

import numpy as np
import torch

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

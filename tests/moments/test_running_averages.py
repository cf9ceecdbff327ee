"""RunningAverages: moving averages of values and of their squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envcli.moments.running_averages import RunningAverages


def test_one_value_after_another() -> None:
    averages = RunningAverages(torch.Size([2]))
    for value in ([1.0, -4.0], [3.0, 0.0]):
        averages.update(np.array([value]), 0.5)
    assert averages.tensors["loc"].tolist() == [0.25 * 1 + 0.5 * 3, 0.25 * -4]
    assert averages.tensors["var"].tolist() == [0.25 * 1 + 0.5 * 9, 0.25 * 16]
    assert averages.tensors["count"].item() == 2
    mean, std = averages.moments(1e-9, 0.5)
    np.testing.assert_allclose(mean, [7 / 3, -4 / 3])
    np.testing.assert_allclose(std**2, [19 / 3 - 49 / 9, 16 / 3 - 16 / 9])


def test_n_values_at_once_age_what_was_there_n_times() -> None:
    averages = RunningAverages(torch.Size([]))
    averages.update(np.array([8.0]), 0.5)
    averages.update(np.array([1.0, 3.0]), 0.5)
    assert averages.tensors["loc"].item() == 4 * 0.25 + 2 * 0.75
    assert averages.tensors["count"].item() == 3


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_of_a_batch_each_has_its_own(decay: float) -> None:
    averages = RunningAverages(torch.Size([1]), torch.Size([3]))
    averages.update(np.array([[[1.0], [2.0]]]), decay, np.array([True, False, True]))
    assert averages.tensors["count"].tolist() == [[1], [0], [1]]
    averages.update(np.array([[[3.0]]]), decay, np.array([True, False, False]))
    mean, std = averages.moments(1e-9, decay)
    weight = 2 if decay == 0.5 else 1
    assert mean.flatten().tolist() == pytest.approx([(1 + 3 * weight) / (1 + weight), 0, 2])
    assert std[1].item() == 1, "of nothing"


def test_no_values_are_no_update() -> None:
    averages = RunningAverages(torch.Size([1]))
    averages.update(np.zeros((0, 1)), 0.5)
    assert averages.tensors["count"].item() == 0


def test_one_count_is_taken_for_a_whole_batch() -> None:
    averages = RunningAverages(torch.Size([1]), torch.Size([3]))
    assert averages.fits("count", torch.Size([]))
    assert averages.fits("count", torch.Size([3, 1]))
    assert not averages.fits("loc", torch.Size([]))

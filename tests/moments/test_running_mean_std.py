"""RunningMeanStd: mean and variance of all that was seen."""

from __future__ import annotations

import pytest
import torch

from envcli.moments.running_mean_std import RunningMeanStd


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_batches_of_any_size_give_what_all_of_it_gives(shape: tuple[int, ...]) -> None:
    values = torch.randn(50, *shape) * 3 + 2
    seen = RunningMeanStd(shape, epsilon=1e-8)
    for part in values.split([1, 0, 9, 40]):
        seen.update(part)
    torch.testing.assert_close(seen.mean, values.mean(0))
    torch.testing.assert_close(seen.var, values.var(0, correction=0))
    assert seen.count == 50
    torch.testing.assert_close(seen.normalize(values), (values - values.mean(0)) / values.std(0, correction=0))


def test_leading_dimensions_are_all_batch() -> None:
    values = torch.randn(4, 5, 3)
    one, other = RunningMeanStd([3]), RunningMeanStd([3])
    one.update(values)
    other.update(values.flatten(0, 1))
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.var, other.var)


def test_what_never_changes_is_not_divided_by_zero() -> None:
    seen = RunningMeanStd([1], epsilon=1e-30)
    seen.update(torch.full((9, 1), 2.0))
    assert seen.normalize(torch.tensor([[2.0]])) == 0
    assert seen.std == pytest.approx(1e-4)


def test_it_is_saved_and_converted_like_any_module() -> None:
    seen, again = RunningMeanStd([2]), RunningMeanStd([2])
    seen.update(torch.randn(9, 2))
    again.load_state_dict(seen.state_dict())
    assert torch.equal(again.mean, seen.mean)
    assert list(seen.state_dict()) == ["mean", "var", "count"]
    assert not any(parameter.requires_grad for parameter in seen.parameters())


def test_the_numbers_are_those_of_torchrl() -> None:
    theirs = pytest.importorskip("torchrl.envs.transforms", reason="torchrl is not installed (extra peers)")
    ours, other = RunningMeanStd([3]), theirs.RunningMeanStd((3,))
    for _ in range(5):
        values = torch.randn(7, 3)
        ours.update(values)
        other.update(values)
    for name, value in other.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)

"""Elementwise: tensors, arrays and single floats agree, and bounds follow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import TransformError
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Bounded, Categorical, Unbounded
from envcli.testing.toys import CountingEnv
from envcli.transforms.binarize_reward import BinarizeReward
from envcli.transforms.clip import ClipTransform
from envcli.transforms.elementwise import Elementwise
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.sign import SignTransform

MAKERS: list[Callable[[], Elementwise]] = [
    lambda: ClipTransform(["reward"], low=-0.1, high=0.3),
    lambda: ClipTransform(["reward"], low=-0.1),
    lambda: ClipTransform(["reward"], high=0.1),
    lambda: SignTransform(["reward"]),
    lambda: RewardScaling(0.1, 3.3),
    lambda: RewardScaling(0.1, 3.3, standard_normal=True),
    BinarizeReward,
]
VALUES = [0.1, -0.1, 0.3, 1e-8, -7.25, 0.0, -0.0, float("nan"), float("inf"), -float("inf"), 3.4e38]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [[], [1], [3]])
def test_rows_are_what_the_method_gives(make: Callable[[], Elementwise], dtype: torch.dtype, shape: list[int]) -> None:
    transform = make()
    values = torch.tensor(VALUES, dtype=torch.float64).to(dtype)
    rows = values.reshape(-1, *[1] * len(shape)).expand(-1, *shape).contiguous()
    expected = transform._apply_transform(rows)
    size = torch.Size([])
    inner = RolloutBuffer(len(VALUES), size, {("next", "reward"): rows})
    outer = RolloutBuffer(len(VALUES), size, {("next", "reward"): torch.zeros_like(expected)})
    transform._attach(inner, outer)
    for t in range(len(VALUES)):
        transform._step_row(t)
    torch.testing.assert_close(outer["next", "reward"], expected, rtol=0, atol=0, equal_nan=True)


def test_one_float_is_the_float_of_an_array() -> None:
    """The three rules of a clip are told apart by their kinds of rows."""
    clip = ClipTransform(["reward"], low=-0.1, high=0.3)
    number, rule = clip._number_rule(), clip._array_rule(np.dtype("float32"))
    assert number is not None
    assert rule is not None
    source = np.array(VALUES, dtype=np.float32)
    target = np.empty_like(source)
    rule(source, target)
    alone = np.array([number(float(value)) for value in source], dtype=np.float32)
    np.testing.assert_array_equal(alone, target)


def test_bounds_are_those_of_the_ends() -> None:
    leaf = Bounded(torch.tensor([-1.0, 2.0]), torch.tensor([4.0, 8.0]))
    assert RewardScaling(1.0, -2.0)._leaf_after(leaf) == Bounded(torch.tensor([-7.0, -15.0]), torch.tensor([3.0, -3.0]))
    assert SignTransform()._leaf_after(leaf) == Bounded(torch.tensor([-1.0, 1.0]), torch.tensor([1.0, 1.0]))
    assert ClipTransform(low=0)._leaf_after(Unbounded([1])) == Bounded(0, float("inf"), shape=[1])
    assert RewardScaling(0.0, 0.0)._leaf_after(Unbounded([1])) == Unbounded([1]), "zero times infinity is no bound"
    assert SignTransform()._leaf_after(Categorical(3, shape=[1])) == Unbounded([1], dtype=torch.int64)


def test_as_many_names_as_entries() -> None:
    with pytest.raises(TransformError, match=r"in_keys \['a', 'b'\] and out_keys \['c'\] must have the same length"):
        SignTransform(["a", "b"], ["c"])
    with pytest.raises(TransformError, match=r"BinarizeReward: in_keys \['reward'\] and out_keys \['a', 'b'\]"):
        TransformedEnv(CountingEnv(), BinarizeReward(out_keys=["a", "b"]))


def test_rows_of_another_number_go_by_torch() -> None:
    env = TransformedEnv(CountingEnv(dtype=torch.float64), BinarizeReward())
    assert env.rollout(2, lambda td: td.set("action", torch.ones(1, dtype=torch.float64)))[
        "next", "reward"
    ].tolist() == [
        [1],
        [1],
    ]

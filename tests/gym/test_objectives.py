"""What an env pays for several objectives, and what is refused of it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envcli.backends.gym import GymWrapper
from envcli.errors import SpecError
from envcli.gym.objectives import Objectives
from envcli.specs import Bounded, Unbounded
from envcli.testing.gym_toys import CountingGym


class Paying(CountingGym):
    """Pays the count, and minus the count; from step ``wrong`` on it pays ``pay``."""

    def __init__(self, pay: Any = None, wrong: int = 99) -> None:
        super().__init__(limit=6)
        self.reward_space = spaces.Box(np.array([0.0, -9.0]), np.array([9.0, 0.0]), dtype=np.float64)
        self.pay, self.wrong = pay, wrong

    def step(self, action: Any) -> Any:
        observation, count, *rest = super().step(action)
        return observation, self.pay if self.count >= self.wrong else np.array([count, -count]), *rest


class LinearReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """As MO-Gymnasium's: one number, and still its env's ``reward_space``."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = self.env.step(action)
        return observation, float(np.sum(reward)), *rest


def test_each_objective_is_paid() -> None:
    env = GymWrapper(Paying(), checks="full")
    spec = env.reward_spec
    assert isinstance(spec, Bounded)
    assert (spec.shape, spec.dtype, spec.low.tolist(), spec.high.tolist()) == ((2,), torch.float32, [0, -9], [9, 0])
    assert env.rollout(3)["next", "reward"].tolist() == [[1, -1], [2, -2], [3, -3]]
    assert GymWrapper(Paying(), frame_skip=2).rollout(2)["next", "reward"].tolist() == [[3, -3], [7, -7]]


def test_several_numbers_without_a_space_are_told_to_have_one() -> None:
    native = Paying()
    del native.reward_space
    said = r"^Paying step: reward: expected a single number, found an array .*reward_space = .*\(-inf, inf, \(2,\)\)"
    for checks in ("first", "off"):
        with pytest.raises(SpecError, match=said):
            GymWrapper(native, checks=checks).rollout(3)
    native.reward_space = spaces.Box(-np.inf, np.inf, (2,))
    assert GymWrapper(native).rollout(3)["next", "reward"].shape == (3, 2)


def test_one_number_is_no_objective() -> None:
    for env in (CountingGym(), LinearReward(Paying())):
        assert not Objectives(env).several
        assert Objectives(env).spec(1, None) == Unbounded([1])
    assert GymWrapper(LinearReward(Paying())).rollout(2)["next", "reward"].tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("pay", "said"),
    [
        (1.0, r"expected shape \(2,\) as the env declares, found \(\)"),
        (np.zeros(3), r"expected shape \(2,\) as the env declares, found \(3,\)"),
        (np.array([1.0, np.nan]), r"expected a finite number, found nan at \[1\]"),
        (np.array([10.0, 0.0]), r"expected 0.0 to 9.0, found 10.0 at \[0\]"),
        (None, r"expected float32 of shape \(2,\), found None"),
    ],
)
def test_another_pay_is_refused(pay: Any, said: str) -> None:
    with pytest.raises(SpecError, match=f"Paying step: reward: {said}"):
        GymWrapper(Paying(pay, wrong=1)).rollout(6)


def test_nan_later_on_is_found_by_full_checks() -> None:
    with pytest.raises(SpecError, match=r"Paying step: reward: expected a finite number, found nan at \[0\]"):
        GymWrapper(Paying(np.array([np.nan, 0]), wrong=4), checks="full").rollout(6)

"""TargetReturn: the return that is still to be reached."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.binarize_reward import BinarizeReward
from envcli.transforms.compose import Compose
from envcli.transforms.target_return import TargetReturn


class TestTarget(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(5), TargetReturn(3.0))


def test_targets() -> None:
    def policy(td: TensorDictBase) -> TensorDictBase:
        return td.set("action", torch.ones(1))

    data = TransformedEnv(CountingEnv(3), TargetReturn(10.0)).rollout(5, policy, break_when_any_done=False)
    assert data["target_return"].flatten().tolist() == [10, 9, 8, 10, 9]
    assert data["next", "target_return"].flatten().tolist() == [9, 8, 7, 9, 8]
    data = TransformedEnv(CountingEnv(3), TargetReturn(10.0, "constant")).rollout(4, break_when_any_done=False)
    assert data["next", "target_return"].flatten().tolist() == [10] * 4
    with pytest.raises(ConfigError, match="TargetReturn: mode is 'grow', expected reduce or constant"):
        TargetReturn(1.0, "grow")


def test_a_target_is_larger_than_the_dtype_of_its_reward() -> None:
    env = TransformedEnv(CountingEnv(), Compose(BinarizeReward(), TargetReturn(1000.0)))
    rollout = env.rollout(3, lambda td: td.set("action", torch.ones(1)))
    assert rollout["target_return"].flatten().tolist() == [1000, 999, 998]


def test_a_fraction_as_the_target_of_whole_rewards() -> None:
    env = TransformedEnv(CountingEnv(), Compose(BinarizeReward(), TargetReturn(2.5)))
    rollout = env.rollout(3, lambda td: td.set("action", torch.ones(1)))
    assert rollout["target_return"].flatten().tolist() == [2.5, 1.5, 0.5]
    assert rollout["target_return"].dtype == env.observation_spec["target_return"].dtype == torch.float32
    alone = TargetReturn(2.5)(rollout.exclude("target_return", ("next", "target_return")))
    assert torch.equal(alone["next", "target_return"], rollout["next", "target_return"])


def test_another_target_and_another_mode_can_be_set() -> None:
    transform = TargetReturn(5.0)
    env = TransformedEnv(CountingEnv(9), transform)
    env.rollout(2)
    transform.target_return = 9.0
    assert repr(transform).startswith("TargetReturn(target_return=9.0, mode='reduce'")
    td = env.step(env.reset().set("action", torch.ones(1)))
    assert (td["target_return"], td["next", "target_return"]) == (9, 8)
    transform.mode = "constant"
    assert env.step(env.step_mdp(td))["next", "target_return"] == 8
    with pytest.raises(ConfigError, match="mode is 'down', expected reduce or constant"):
        transform.mode = "down"

"""DoubleToFloat."""

from __future__ import annotations

import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, DoubleEnv
from envcli.transforms.double_to_float import DoubleToFloat


class TestDoubleToFloat(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(DoubleEnv([2, 5], [2]), DoubleToFloat())


def test_nothing_stays_double() -> None:
    env = TransformedEnv(DoubleEnv(), DoubleToFloat())
    data = env.rollout(3)
    assert not [key for key in data.keys(True, True) if data[key].dtype == torch.float64]
    assert env.base_env.observation_spec["observation"].dtype == torch.float64
    assert env.action_spec.dtype == torch.float32


def test_where_nothing_is_double_nothing_happens() -> None:
    env = TransformedEnv(CountingEnv(), DoubleToFloat())
    assert env.observation_spec == env.base_env.observation_spec
    assert env.transform.in_keys == []

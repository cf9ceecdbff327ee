"""BinarizeReward: is there a reward?"""

from __future__ import annotations

import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.specs import Binary
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.binarize_reward import BinarizeReward


class TestBinary(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), BinarizeReward())


def test_by_hand() -> None:
    out = BinarizeReward()(TensorDict({"reward": torch.tensor([0.0, 0.5, -1.0, float("nan")])}))["reward"]
    assert out.tolist() == [0, 1, 0, 0]
    assert out.dtype == torch.int8


def test_in_an_env() -> None:
    env = TransformedEnv(CountingEnv(99), BinarizeReward())
    data = env.rollout(30)
    assert torch.equal(data["next", "reward"], (data["action"] > 0).to(torch.int8))
    assert env.reward_spec == Binary(shape=[1], dtype=torch.int8)

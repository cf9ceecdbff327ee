"""RewardClipping: rewards within limits."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.reward_clipping import RewardClipping


class TestSingle(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(5), RewardClipping(-0.5, 0.25))


class TestBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), RewardClipping(-0.5, 0.25))


@pytest.mark.parametrize("batch", [[], [2]])
def test_it_clips_on_both_sides(batch: list[int]) -> None:
    actions = iter([-1.0, -0.5, 0.0, 0.25, 1.0])

    def policy(td: TensorDictBase) -> TensorDictBase:
        return td.set("action", torch.full([*batch, 1], next(actions)))

    data = TransformedEnv(CountingEnv(9, batch), RewardClipping(-0.5, 0.25)).rollout(5, policy)
    assert data["next", "reward"].reshape(-1, 5)[0].tolist() == [-0.5, -0.5, 0.0, 0.25, 0.25]


def test_one_side_is_enough() -> None:
    values = TensorDict({"reward": torch.tensor([-3.0, 3.0])})
    assert RewardClipping(clamp_max=1.0)(values.clone())["reward"].tolist() == [-3, 1]
    assert RewardClipping(clamp_min=-1.0)(values.clone())["reward"].tolist() == [-1, 3]


def test_its_spec() -> None:
    assert TransformedEnv(CountingEnv(), RewardClipping(-1, 2)).reward_spec == Bounded(-1, 2, shape=[1])


def test_every_reward_is_found() -> None:
    env = TransformedEnv(NestedEnv(3, [2]), RewardClipping(0, 0.1))
    assert env.transform.in_keys == [("agent", "reward")]
    reward = env.rollout(3)["next", "agent", "reward"]
    assert reward.min() >= 0
    assert reward.max() <= torch.tensor(0.1)


def test_beside_under_another_name() -> None:
    env = TransformedEnv(CountingEnv(), RewardClipping(0, 0.5, out_keys=["clipped"]))
    following = env.rollout(4)["next"]
    assert torch.equal(following["clipped"], following["reward"].clamp(0, 0.5))
    assert env.reward_keys == ["reward", "clipped"]


def test_a_rollout_afterwards_is_the_same() -> None:
    torch.manual_seed(0)
    there = TransformedEnv(CountingEnv(), RewardClipping(-0.1, 0.1)).rollout(5)
    torch.manual_seed(0)
    plain = CountingEnv().rollout(5)
    assert not torch.equal(plain["next", "reward"], there["next", "reward"])
    assert torch.equal(RewardClipping(-0.1, 0.1)(plain)["next", "reward"], there["next", "reward"])


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"RewardClipping: found no limit. Give clamp_min, clamp_max or both"):
        RewardClipping()
    with pytest.raises(ConfigError, match="clamp_min must not exceed clamp_max, found 2 and 1"):
        RewardClipping(2, 1)
    with pytest.raises(
        TransformError, match=r"RewardClipping: in_keys \['gain'\] do not exist. The env has: done, obs"
    ):
        TransformedEnv(CountingEnv(), RewardClipping(0, 1, in_keys=["gain"]))


def test_torchrls_names() -> None:
    clipping = RewardClipping(-1, 2)
    assert (clipping.clamp_min, clipping.clamp_max, clipping.in_keys) == (-1, 2, ["reward"])
    assert repr(clipping) == "RewardClipping(low=-1, high=2, keys=['reward'])"

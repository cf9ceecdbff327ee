"""LineariseRewards: one reward of several."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.linearise_rewards import LineariseRewards
from envcli.transforms.reward_sum import RewardSum


class Two(EnvBase):
    """Pays ``[action, -2 * action]``, for two objectives."""

    def __init__(self, reward_spec: TensorSpec | None = None, batch_size: tuple[int, ...] = ()) -> None:
        super().__init__(batch_size=batch_size)
        self.action_spec = Bounded(0, 1, (*batch_size, 1))
        self.observation_spec = Composite(observation=Unbounded((*batch_size, 1)), shape=batch_size)
        self.reward_spec = Unbounded((*batch_size, 2)) if reward_spec is None else reward_spec

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return TensorDict({"observation": torch.zeros(*self.batch_size, 1)}, self.batch_size)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict["action"]
        reward = torch.cat([action, -2 * action], -1).to(self.full_reward_spec["reward"].dtype)
        done = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        seen = torch.zeros(*self.batch_size, 1)
        return TensorDict({"observation": seen, "reward": reward, "done": done}, self.batch_size)

    def _set_seed(self, seed: int | None) -> None:
        pass  # nothing is drawn


class TestSummed(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Two(), LineariseRewards(["reward"]))


class TestWeighted(EnvContract):
    def make_env(self) -> Env:
        bounded = Bounded(torch.tensor([0.0, -2.0]), torch.tensor([1.0, 0.0]), (2,))
        return TransformedEnv(Two(bounded.expand(3, 2), (3,)), LineariseRewards(["reward"], weights=[0.5, -2.0]))


@pytest.mark.parametrize(("weights", "pay"), [(None, -1.0), ([3.0, 0.5], 2.0), (torch.tensor([1, 1]), -1.0)])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_sum_is_paid(weights: Any, pay: float, batch: tuple[int, ...]) -> None:
    env = TransformedEnv(Two(batch_size=batch), LineariseRewards(["reward"], weights=weights))
    data = env.rollout(3)
    assert env.reward_spec == Unbounded((*batch, 1))
    assert torch.allclose(data["next", "reward"], pay * data["action"])


def test_beside_the_rewards() -> None:
    env = TransformedEnv(Two(), Compose(LineariseRewards(["reward"], ["total"]), RewardSum(["total"])))
    data = env.rollout(4)
    assert set(env.reward_keys) == {"reward", "total"}
    assert torch.allclose(data["next", "episode_total"], data["next", "total"].cumsum(0))


def test_bounds_are_summed_by_the_sign_of_the_weights() -> None:
    low, high = torch.tensor([-1.0, 0.0, -torch.inf]), torch.tensor([1.0, 5.0, torch.inf])

    def after(weights: list[float] | None) -> TensorSpec:
        return LineariseRewards(["r"], weights=weights).transform_reward_spec(Composite(r=Bounded(low, high, (3,))))[
            "r"
        ]

    assert after([1.0, -2.0, 0.0]) == Bounded(-11, 1, (1,))
    assert after([0.0, 0.5, 0.0]) == Bounded(0, 2.5, (1,))
    assert after(None) == Unbounded(1)


def test_whole_numbers() -> None:
    spec = Composite(r=Bounded(0, 3, (2,), dtype=torch.int8))
    assert LineariseRewards(["r"]).transform_reward_spec(spec)["r"] == Bounded(0, 6, (1,), dtype=torch.int64)


def test_its_state_is_that_of_torchrl() -> None:
    one, other = (LineariseRewards(["r"], weights=weights) for weights in ([1.0, 2.0], [0.0, 0.0]))
    assert one.state_dict()["weights"].tolist() == [1, 2]
    other.load_state_dict(one.state_dict())
    assert other(TensorDict(r=torch.tensor([10.0, 1.0])))["r"] == 12
    assert LineariseRewards(["r"]).state_dict() == {}
    with pytest.raises(RuntimeError, match=r"expected weights \[2\], found \[3\]"):
        other.load_state_dict({"weights": torch.zeros(3)})


def test_on_a_rollout() -> None:
    data = Two().rollout(3)
    summed = LineariseRewards(["reward"])(data.clone())
    assert torch.equal(summed["next", "reward"], data["next", "reward"].sum(-1, keepdim=True))


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^weights: expected one number for each objective, found \[1, 2\]"):
        LineariseRewards(["reward"], weights=torch.ones(1, 2))
    with pytest.raises(TransformError, match=r"a reward \[1\] has 1 objectives .*, expected 2, as weights"):
        TransformedEnv(CountingEnv(), LineariseRewards(["reward"], weights=[1.0, 2.0]))
    with pytest.raises(TransformError, match="must have the same length"):
        LineariseRewards(["reward"], ["a", "b"])
    with pytest.raises(TransformError, match=r"a reward \[\] has no objectives"):
        LineariseRewards(["r"])(TensorDict(r=torch.tensor(1.0)))

"""RewardSum: the rewards of each episode added up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import TransformError
from envcli.specs import Categorical, Composite, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.binarize_reward import BinarizeReward
from envcli.transforms.compose import Compose
from envcli.transforms.rename import RenameTransform
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.transform import Transform


class TestSumsAsRewards(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), RewardSum(reward_spec=True))


class TestSummed(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), RewardSum())


@pytest.mark.parametrize("reward_spec", [False, True])
def test_sums(reward_spec: bool) -> None:
    env = TransformedEnv(CountingEnv(3), RewardSum(reward_spec=reward_spec))
    data = env.rollout(5, lambda td: td.set("action", torch.ones(1)), break_when_any_done=False)
    assert data["next", "episode_reward"].flatten().tolist() == [1, 2, 3, 1, 2]
    assert data["episode_reward"].flatten().tolist() == [0, 1, 2, 0, 1]
    assert env.state_spec == Composite(episode_reward=Unbounded([1]))
    assert ("episode_reward" in env.reward_keys) is reward_spec
    assert ("episode_reward" in env.observation_keys) is not reward_spec


@pytest.mark.parametrize("reward_spec", [False, True])
def test_a_partial_reset(reward_spec: bool) -> None:
    env = TransformedEnv(CountingEnv(99, [2]), RewardSum(reward_spec=reward_spec))
    td = env.step_mdp(env.step(env.reset().set("action", torch.ones(2, 1))))
    td = env.reset(td.set("_reset", torch.tensor([[False], [True]])))
    assert td["episode_reward"].tolist() == [[1], [0]]
    assert env.step(td.set("action", torch.ones(2, 1)))["next", "episode_reward"].tolist() == [[2], [1]]


@pytest.mark.parametrize("reward_spec", [False, True])
def test_by_steps_it_goes_on_from_what_it_is_given(reward_spec: bool) -> None:
    env = TransformedEnv(CountingEnv(), RewardSum(reward_spec=reward_spec))
    td = env.reset().set("action", torch.ones(1)).set("episode_reward", torch.tensor([41.0]))
    assert env.step(td)["next", "episode_reward"] == 42


def test_many_small_whole_numbers_are_summed_in_large_ones() -> None:
    """int8 would be at -128 after 128 of them."""
    env = TransformedEnv(CountingEnv(300), Compose(BinarizeReward(), RewardSum()))
    rollout = env.rollout(300, lambda td: td.set("action", torch.ones(1)))
    assert rollout["next", "episode_reward"][-1].item() == 300
    again = RewardSum()(rollout.exclude("episode_reward", ("next", "episode_reward")))
    assert again["next", "episode_reward"].dtype == rollout["next", "episode_reward"].dtype == torch.int64
    assert torch.equal(again["next", "episode_reward"], rollout["next", "episode_reward"])


@pytest.mark.parametrize(
    ("out_keys", "written"),
    [
        ([("next", "episode_reward")], ("next", "episode_reward")),
        (None, ("next", "episode_reward")),
        (["total"], "total"),
    ],
)
def test_rewards_of_a_rollout_may_be_named_as_they_stand_there(out_keys: Any, written: Any) -> None:
    rollout = CountingEnv(3).rollout(5, break_when_any_done=False)
    expected = RewardSum()(rollout.clone())["next", "episode_reward"]
    before = set(rollout.keys(True, True))
    summed = RewardSum(in_keys=[("next", "reward")], out_keys=out_keys)(rollout)
    assert torch.equal(summed[written], expected)
    assert set(summed.keys(True, True)) - before == {written}


def test_as_a_reward_it_is_state_for_those_behind_it_too() -> None:
    def chain(*behind: Transform) -> Env:
        return TransformedEnv(CountingEnv(3), Compose(RewardSum(reward_spec=True), *behind))

    data = chain(RewardScaling(0, 10)).rollout(3, lambda td: td.set("action", torch.ones(1)))
    assert data["next", "reward"].flatten().tolist() == [10, 10, 10]
    assert data["next", "episode_reward"].flatten().tolist() == [10, 20, 30]
    with pytest.raises(TransformError, match="Rename it both ways"):
        chain(RenameTransform(["episode_reward"], ["total"]))
    with pytest.raises(TransformError, match=r"but the next step reads it as torch\.float32"):
        chain(BinarizeReward())
    clipped = chain(BinarizeReward(["reward"])).rollout(3, lambda td: td.set("action", torch.ones(1)))
    assert clipped["next", "episode_reward"].flatten().tolist() == [1, 2, 3]


class Team(EnvBase):
    """Three agents, each paid one a step."""

    def __init__(self) -> None:
        super().__init__(batch_size=[2])
        shape = [2, 3]
        self.observation_spec = Composite(agents=Composite(seen=Unbounded([2, 3, 1]), shape=shape), shape=[2])
        self.full_action_spec = Composite(agents=Composite(action=Categorical(4, shape=shape), shape=shape), shape=[2])
        self.full_reward_spec = Composite(agents=Composite(reward=Unbounded([2, 3, 1]), shape=shape), shape=[2])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return self.observation_spec.zero()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        after = self.observation_spec.zero().update(self.full_reward_spec.one())
        return after.set("terminated", torch.zeros(2, 1, dtype=torch.bool))

    def _set_seed(self, seed: int | None) -> None:
        pass


def test_the_sums_of_agents_have_their_shape_in_every_spec() -> None:
    env = TransformedEnv(Team(), RewardSum())
    for spec in (env.observation_spec, env.full_state_spec):
        assert spec["agents"].shape == (2, 3)
        assert spec.zero()["agents"].batch_size == (2, 3)
    assert env.rollout(3)["next", "agents", "episode_reward"][0, :, 2, 0].tolist() == [1, 2, 3]

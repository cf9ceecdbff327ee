"""SuccessReward: 0 or ``scale``."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli import make_env
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.frame_skip import FrameSkipTransform
from envcli.transforms.success_reward import SuccessReward
from tests.transforms.test_step_counter import Team


class TestFlag(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), SuccessReward("terminated", scale=3))


class TestBeside(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Team(), SuccessReward(("agents", "done"), ("agents", "bonus"), scale=-1))


def test_it_takes_the_place_of_the_reward() -> None:
    env = TransformedEnv(CountingEnv(3, time_limit=5), SuccessReward("terminated", scale=3))
    data = env.rollout(9)
    assert data["next", "reward"].flatten().tolist() == [0, 0, 3]
    assert env.reward_spec == Bounded(0, 3, (1,))
    assert "reward" not in env.reset()
    late = TransformedEnv(CountingEnv(9, time_limit=2), SuccessReward("terminated"))
    assert late.rollout(9)["next", "reward"].flatten().tolist() == [0, 0], "a time limit is no success"


def test_it_stands_beside_others() -> None:
    env = TransformedEnv(Team(2), SuccessReward(("agents", "done"), ("agents", "bonus"), scale=-1))
    data = env.rollout(2)
    assert data["next", "agents", "bonus"].squeeze(-1).tolist() == [[0, 0], [-1, -1]]
    assert env.full_reward_spec["agents", "bonus"] == Bounded(-1, 0, (2, 1))
    assert ("agents", "reward") in env.reward_keys


def test_another_transform_takes_it_from_there() -> None:
    env = TransformedEnv(CountingEnv(3), Compose(SuccessReward("terminated"), FrameSkipTransform(2)))
    assert env.rollout(9)["next", "reward"].flatten().tolist() == [0, 1]
    assert env._roles().reward_transforms == ["SuccessReward"]


def test_another_scale_counts_from_the_next_step_on() -> None:
    env = TransformedEnv(CountingEnv(1), SuccessReward("terminated"))
    env.rollout(1)
    env.transform.scale = 4.0
    assert env.rollout(1)["next", "reward"].item() == 4
    assert env.reward_spec.high == 4


def test_on_data_it_is_what_the_env_pays() -> None:
    env = TransformedEnv(CountingEnv(3), SuccessReward("terminated"))
    data = env.rollout(3)
    plain = CountingEnv(3).rollout(3)
    assert torch.equal(SuccessReward("terminated")(plain)["next", "reward"], data["next", "reward"])
    assert "reward" not in plain
    named = SuccessReward(("next", "terminated"), ("next", "reward"), scale=2)(CountingEnv(3).rollout(3))
    assert named["next", "reward"].flatten().tolist() == [0, 0, 2]
    counted = SuccessReward()(TensorDict({"success": torch.tensor([0, 1])}))
    assert counted["reward"].tolist() == [0, 1]
    assert counted["reward"].dtype == torch.float32


def test_from_yaml() -> None:
    words = ["env=cartpole", "transforms=[success_reward]", "transforms.success_reward.success_key=terminated"]
    with make_env(*words) as env:
        data = env.rollout(200, break_when_any_done=True)
    assert data["next", "reward"].sum() == 1


def test_misuse_is_named() -> None:
    with pytest.raises(TransformError, match=r"SuccessReward: in_keys \['success'\] do not exist"):
        TransformedEnv(CountingEnv(), SuccessReward())

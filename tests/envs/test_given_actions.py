"""GivenActions: a rollout of actions that are known before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.given_actions import GivenActions
from envcli.errors import ConfigError, SpecError
from envcli.testing.toys import CountingEnv
from envcli.transforms.step_counter import StepCounter


@pytest.mark.parametrize(
    "make",
    [CountingEnv, lambda: TransformedEnv(CountingEnv(), StepCounter()), lambda: SerialEnv(2, CountingEnv)],
    ids=["single", "transformed", "batch"],
)
def test_a_rollout_is_made_again_from_its_actions(make: Callable[[], Any]) -> None:
    with make() as env:
        env.set_seed(0)
        first = env.rollout(7, break_when_any_done=False)
        actions = first["action"].movedim(len(env.batch_size), 0)  # time comes first
        env.set_seed(0)
        again = env.rollout(100, actions=actions, break_when_any_done=False)
        assert (first == again).all()
        assert env.rollout(2, actions=list(actions)).shape[-1] == 2


def test_actions_may_come_from_anywhere() -> None:
    env = CountingEnv()
    endless = iter(lambda: torch.ones(1), None)
    assert env.rollout(3, actions=endless)["action"].flatten().tolist() == [1, 1, 1]
    with pytest.raises(SpecError, match=r"there are only 2 actions\. Give more of them, or max_steps=2"):
        env.rollout(3, actions=iter([torch.ones(1)] * 2))
    with pytest.raises(ConfigError, match="found a policy and actions"):
        env.rollout(3, lambda td: td, actions=endless)


def test_the_result_may_be_kept_elsewhere() -> None:
    data = CountingEnv().rollout(3, storing_device="meta")
    assert data.device == torch.device("meta") == data["next", "observation"].device


def test_each_step_sets_every_action() -> None:
    policy = GivenActions({"near": torch.arange(2), ("far", "away"): [torch.ones(3), torch.zeros(3)]})
    first, second = policy(TensorDict()), policy(TensorDict())
    assert [step["near"].item() for step in (first, second)] == [0, 1]
    assert [step["far", "away"].sum().item() for step in (first, second)] == [3, 0]
    with pytest.raises(SpecError, match="there are only 2 actions"):
        policy(TensorDict())

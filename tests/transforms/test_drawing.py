"""What transforms draw follows from the seed of the env."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymEnv
from envcli.batch.batched_env import BatchedEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.transforms.action_discretizer import ActionDiscretizer
from envcli.transforms.compose import Compose
from envcli.transforms.discrete_action_projection import DiscreteActionProjection
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.random_truncation import RandomTruncationTransform
from envcli.transforms.step_counter import StepCounter


def seen(env: BatchedEnv) -> torch.Tensor:
    env.set_seed(5)
    env.reset()
    actions = torch.full((40, *env.action_spec.shape), 4)
    data = env.rollout(40, actions=actions, break_when_any_done=False)
    return torch.cat([data["observation"], data["next", "observation"]], -1)


def discretized() -> Env:
    return TransformedEnv(GymEnv("Pendulum-v1"), ActionDiscretizer(5, sampling="random"))


def projected() -> Env:
    return TransformedEnv(GymEnv("CartPole-v1", categorical_action_encoding=True), DiscreteActionProjection(2, 5))


def cut() -> Env:
    own = Compose(NoopResetEnv(3), ActionDiscretizer(5), StepCounter(), RandomTruncationTransform(1, 20, prob=0.5))
    return TransformedEnv(GymEnv("Pendulum-v1"), own)


@pytest.mark.parametrize("make", [discretized, projected, cut])
@pytest.mark.parametrize("kind", [SerialEnv, partial(ParallelEnv, num_workers=2), partial(ParallelEnv, num_workers=1)])
def test_it_does_so_in_every_process(make: Callable[[], Env], kind: Callable[..., BatchedEnv]) -> None:
    with SerialEnv(3, make) as env:
        torch.manual_seed(0)
        expected = seen(env)
    for state in (1, 2):
        with kind(3, make) as env:
            torch.manual_seed(state)
            assert torch.equal(seen(env), expected)


@pytest.mark.parametrize("make", [discretized, projected])
def test_without_a_seed_it_follows_torch(make: Callable[[], Env]) -> None:
    env: Any = make()

    def drawn() -> torch.Tensor:
        torch.manual_seed(3)
        action = torch.full(env.action_spec.shape, 4)
        found: torch.Tensor = env.transform.inv(TensorDict({"action": action}))["action"]
        return found

    assert torch.equal(drawn(), drawn())

from __future__ import annotations

import torch

from envcli.backends.gym import GymEnv
from envcli.policies.zero import ZeroPolicy


def test_nothing_where_the_space_holds_nothing() -> None:
    env = GymEnv("Pendulum-v1")
    assert (env.rollout(10, ZeroPolicy().bind(env))["action"] == 0).all()


def test_the_first_action_of_a_discrete_space() -> None:
    env = GymEnv("CartPole-v1")
    rollout = env.rollout(5, ZeroPolicy().bind(env))
    assert (rollout["action"] == torch.tensor([1, 0])).all()

from __future__ import annotations

import torch

from envcli.backends.gym import GymEnv
from envcli.policies.random import Random


def test_is_what_a_rollout_does_by_itself() -> None:
    env = GymEnv("Pendulum-v1")
    policy = Random().bind(env)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = env.rollout(20, policy)["action"]
        torch.manual_seed(1)
        second = env.rollout(20)["action"]
    assert policy is None
    assert (first == second).all()
    assert first.unique().numel() == 20

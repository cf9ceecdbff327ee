"""Random actions, for code that needs a policy."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli import Bounded, EnvError, GymEnv, RandomPolicy, SerialEnv
from envcli.testing.toys import CountingEnv


def test_an_env_runs_by_it() -> None:
    env = GymEnv("Pendulum-v1")
    torch.manual_seed(1)
    rollout = env.rollout(20, RandomPolicy(env.action_spec))
    assert rollout["action"].unique().numel() == 20
    assert env.full_action_spec["action"].is_in(rollout["action"][0])


def test_a_batch_has_an_action_each() -> None:
    env = SerialEnv(3, lambda: GymEnv("Pendulum-v1"))
    policy = RandomPolicy()
    policy.set_action_spec_from_env(env)
    assert policy(env.reset())["action"].unique().numel() == 3
    given = policy.action_spec
    policy.set_action_spec_from_env(CountingEnv())
    assert policy.action_spec is given
    env.close()


def test_it_writes_where_it_is_told() -> None:
    written = RandomPolicy(Bounded(-1, 1, [2]), action_key=("agents", "action"))(TensorDict())
    assert written["agents", "action"].shape == (2,)


def test_without_a_spec_it_says_what_to_do() -> None:
    with pytest.raises(EnvError, match=r"Give it one, or call set_action_spec_from_env\(env\)"):
        RandomPolicy()(TensorDict())

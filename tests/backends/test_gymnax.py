"""gymnax: the contract, its own steps bit for bit, and where episodes end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, UnknownName
from envcli.make import make_env
from envcli.specs import Categorical, OneHot
from envcli.testing import EnvContract
from tests.conftest import Command

pytest.importorskip("gymnax", reason="gymnax is not installed (extra gymnax)")

from envcli.backends.gymnax import GymnaxEnv
from envcli.jitted.gymnax_world import gymnax, jax


class TestBreakout(EnvContract):
    def make_env(self) -> Env:
        return GymnaxEnv("Breakout-MinAtar", 3)


class TestCartPole(EnvContract):
    def make_env(self) -> Env:
        return GymnaxEnv("CartPole-v1", 2, frame_skip=2, categorical_action_encoding=True, device="cpu")


class TestFrozenLake(EnvContract):
    def make_env(self) -> Env:
        return GymnaxEnv("FrozenLake-misc", 2)


def test_choices() -> None:
    one_hot, numbers = GymnaxEnv("FrozenLake-misc"), GymnaxEnv("FrozenLake-misc", categorical_action_encoding=True)
    assert one_hot.action_spec == OneHot(4, shape=[1, 4], dtype=torch.int64)
    assert numbers.action_spec == Categorical(4, shape=[1])
    assert type(one_hot.observation_spec["observation"]).__name__ == "OneHot"
    assert type(numbers.observation_spec["observation"]).__name__ == "Categorical"


def test_an_env_is_what_gymnax_itself_makes_of_its_seed() -> None:
    env = GymnaxEnv("Breakout-MinAtar", batch_size=[1], categorical_action_encoding=True)
    env.set_seed(3)
    torch.manual_seed(0)
    data = env.rollout(30)[0]
    native, params = gymnax.make("Breakout-MinAtar")
    shown, state = native.reset(jax.random.PRNGKey(3), params)
    keys, _ = jax.random.split(jax.random.PRNGKey(3))
    for t in range(len(data)):
        np.testing.assert_array_equal(data["observation"][t], shown)
        keys, key = jax.random.split(keys)
        shown, state, reward, terminated, _ = native.step_env(key, state, data["action"][t].item(), params)
        np.testing.assert_array_equal(data["next", "observation"][t], shown)
        assert data["next", "reward"][t].item() == float(reward)
        assert bool(data["next", "terminated"][t]) == bool(terminated)
    assert data["next", "terminated"][-1]


def test_the_envs_own_limit_and_ours_truncate() -> None:
    for limit in ({"max_steps_in_episode": 4}, {"max_episode_steps": 4}):
        following = GymnaxEnv("Pendulum-v1", 2, **limit).rollout(8, break_when_any_done=False)["next"]
        assert following["truncated"][..., 0].tolist() == [[False, False, False, True] * 2] * 2
        assert not following["terminated"].any()


def test_a_parameter_is_the_envs() -> None:
    for gravity, constant in ((0.0, True), (10.0, False)):
        env = GymnaxEnv("Pendulum-v1", 2, g=gravity)
        env.set_seed(0)
        speed = env.rollout(9, lambda td: td.set("action", torch.zeros(2, 1)))["observation"][..., 2]
        assert torch.allclose(speed, speed[:, :1].expand_as(speed)) is constant


def test_an_env_does_not_depend_on_its_neighbours() -> None:
    rolled = []
    for n in (2, 5):
        env = GymnaxEnv("Asterix-MinAtar", n)
        env.set_seed(0)
        first = env.action_spec.zero()
        first[..., 0] = 1
        rolled.append(env.rollout(40, lambda td, first=first: td.set("action", first), break_when_any_done=False))
    assert (rolled[0] == rolled[1][:2]).all()


def test_mistakes_are_explained() -> None:
    with pytest.raises(UnknownName, match=r"no gymnax env 'Breakot-MinAtar'\. Did you mean 'Breakout-MinAtar'"):
        GymnaxEnv("Breakot-MinAtar")
    with pytest.raises(ConfigError, match=r"options: CartPole-v1 has no parameter 'gravty'\. Did you mean 'gravity'"):
        GymnaxEnv("CartPole-v1", gravty=3)
    with pytest.raises(ConfigError, match="from_pixels: backend=gymnax renders no frames"):
        GymnaxEnv("CartPole-v1", from_pixels=True)
    env = GymnaxEnv("CartPole-v1", 2, categorical_action_encoding=True)
    with pytest.raises(ActionError):
        env.step(env.reset().set("action", torch.full((2,), 2)))
    with pytest.raises(ConfigError, match="Gymnax takes no options, found low"):
        env.reset(low=1)


def test_from_yaml(cli: Command) -> None:
    env = make_env("env=minatar_breakout", "backend.options.max_steps_in_episode=3", "parallel.num_envs=2")
    assert env.rollout(5, break_when_any_done=False)["next", "truncated"].any()
    done = cli("rollout", "env=minatar_breakout", "backend.options.max_steps=3")
    assert done.code == 2
    assert "backend.options: Breakout-MinAtar has no parameter 'max_steps'" in done.err

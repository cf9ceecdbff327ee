"""gymnax: the contract, its own steps bit for bit, and where episodes end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase

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


def test_the_episodes_that_follow_are_gymnaxs_own_too() -> None:
    """As two programs make them, bit for bit: one begins episodes, one steps, and what they made is put together."""
    env = GymnaxEnv("Pendulum-v1", 3, max_episode_steps=4)
    env.set_seed([3, 4, 5])
    torch.manual_seed(0)
    data = env.rollout(12, break_when_any_done=False)
    native, params = gymnax.make("Pendulum-v1")
    begin = jax.jit(jax.vmap(lambda key: native.reset_env(key, params)))
    step = jax.jit(jax.vmap(lambda key, state, action: native.step_env(key, state, action, params)[:3]))
    for t in range(12):
        if t % 4 == 0:
            shown, state = begin(keys := jax.numpy.stack([_key(seed, t // 4) for seed in (3, 4, 5)]))
        np.testing.assert_array_equal(data["observation"][:, t], shown)
        shown, state, reward = step(keys, state, data["action"][:, t].numpy())  # nothing is drawn from the keys
        np.testing.assert_array_equal(data["next", "observation"][:, t], shown)
        np.testing.assert_array_equal(data["next", "reward"][:, t, 0], reward)


def test_who_is_reset_between_two_steps_begins_anew_and_nobody_else() -> None:
    env = GymnaxEnv("CartPole-v1", 3, categorical_action_encoding=True)
    env.set_seed([3, 4, 5])
    left = torch.zeros(3, dtype=torch.int64)
    now = env.step_mdp(env.step(env.reset().set("action", left)))
    for who in (0, 1, 0):
        now = env.reset(now.set("_reset", _only(who)))
    _check(now, {0: _key(3, 2), 1: _key(4, 1)})
    env.set_seed([6, 7, 8])
    now = env.reset(now.set("_reset", _only(1)))
    _check(now, {0: _key(3, 2), 1: _key(7, 0)})
    _check(env.step(now.set("action", left))["next"], {0: _key(3, 2), 1: _key(7, 0)}, steps=1)


def _key(seed: int, episode: int) -> Any:
    key = jax.random.PRNGKey(seed)
    return jax.random.fold_in(key, episode) if episode else key


def _only(env: int) -> torch.Tensor:
    return (torch.arange(3) == env).unsqueeze(-1)


def _check(now: TensorDictBase, begun: dict[int, Any], steps: int = 0) -> None:
    """The envs in ``begun`` have made so many steps to the left from these keys; the last one has not begun anew."""
    native, params = gymnax.make("CartPole-v1")
    for env, key in begun.items():
        shown, state = native.reset_env(key, params)
        for _ in range(steps):
            shown, state, *_ = native.step_env(key, state, 0, params)
        np.testing.assert_allclose(now["observation"][env], shown, rtol=1e-6)
    _, state = native.reset_env(_key(5, 0), params)
    for _ in range(1 + steps):
        shown, state, *_ = native.step_env(_key(5, 0), state, 0, params)
    np.testing.assert_allclose(now["observation"][2], shown, rtol=1e-5)


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
    with pytest.raises(ConfigError, match="backend=gymnax takes no options, found low"):
        env.reset(low=1)


def test_from_yaml(cli: Command) -> None:
    env = make_env("env=minatar_breakout", "backend.options.max_steps_in_episode=3", "parallel.num_envs=2")
    assert env.rollout(5, break_when_any_done=False)["next", "truncated"].any()
    done = cli("rollout", "env=minatar_breakout", "backend.options.max_steps=3")
    assert done.code == 2
    assert "backend.options: Breakout-MinAtar has no parameter 'max_steps'" in done.err


def test_an_env_of_gymnaxs_comes_with_its_parameters() -> None:
    made = gymnax.make("CartPole-v1")
    assert GymnaxEnv(made, 2).env_name == "CartPole-v1"
    with pytest.raises(ConfigError, match="options: found gravity, expected none: tuple is made already"):
        GymnaxEnv(made, gravity=3)
    with pytest.raises(ConfigError, match=r"found a CartPole, expected a name, or what gymnax\.make gives"):
        GymnaxEnv(made[0])

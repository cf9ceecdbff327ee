"""Jumanji: the contract, its own rewards and ends, and where episodes begin, on an env that compiles in no time."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, UnknownName
from envcli.make import make_env
from envcli.specs import Binary, Bounded, Categorical, MultiOneHot, OneHot, Unbounded
from envcli.testing import EnvContract
from tests.conftest import Command

pytest.importorskip("jumanji", reason="jumanji is not installed (extra jumanji)")

from envcli.backends.jumanji import JumanjiEnv, JumanjiWrapper
from envcli.jitted.jumanji_world import jax, jumanji, specs

jp = jax.numpy


class Place(NamedTuple):
    """Part of what is seen."""

    row: Any


class Seen(NamedTuple):
    """What is seen."""

    place: Place
    action_mask: Any
    count: Any


class Walk(jumanji.Environment):  # type: ignore[misc]  # the library has no annotations
    """Two agents on a line from 0 to 9 that begin by chance, go left, stay or go right, and are paid where they stand.

    It terminates where the first one is at 9, and is truncated after six steps.
    """

    def reset(self, key: Any) -> Any:
        state = {"row": jax.random.randint(key, (2,), 0, 5), "count": jp.array(0)}
        return state, jumanji.types.restart(self._see(state), shape=(2,))

    def step(self, state: Any, action: Any) -> Any:
        state = {"row": jp.clip(state["row"] + action - 1, 0, 9), "count": state["count"] + 1}
        over, late = state["row"][0] == 9, state["count"] == 6
        said = jumanji.types.TimeStep(
            step_type=jp.where(over | late, jumanji.types.StepType.LAST, jumanji.types.StepType.MID),
            reward=state["row"].astype(float),
            discount=jp.where(over, 0.0, 1.0) * jp.ones(2),
            observation=self._see(state),
            extras={},
        )
        return state, said

    def _see(self, state: Any) -> Seen:
        row = state["row"]
        return Seen(Place(row), jp.stack([row > 0, row >= 0, row < 9], -1), state["count"])

    @cached_property
    def observation_spec(self) -> Any:
        mask, count = specs.BoundedArray((2, 3), bool, False, True), specs.DiscreteArray(7)
        place = specs.Spec(Place, "Place", row=specs.BoundedArray((2,), jp.int32, 0, 9))
        return specs.Spec(Seen, "Seen", place=place, action_mask=mask, count=count)

    @cached_property
    def action_spec(self) -> Any:
        return specs.MultiDiscreteArray(jp.array([3, 3]))

    @cached_property
    def reward_spec(self) -> Any:
        return specs.Array((2,), float)

    @cached_property
    def discount_spec(self) -> Any:
        return specs.BoundedArray((2,), float, 0.0, 1.0)


class TestWalk(EnvContract):
    def make_env(self) -> Env:
        return JumanjiEnv(Walk(), 3)


class TestRepeatedWalk(EnvContract):
    def make_env(self) -> Env:
        return JumanjiEnv(Walk(), 2, frame_skip=2, categorical_action_encoding=True, device="cpu")


class TestSnake(EnvContract):
    def make_env(self) -> Env:
        return JumanjiEnv("Snake-v1", 2)


def test_its_specs() -> None:
    env = JumanjiEnv(Walk(), batch_size=[3])
    assert env.batch_size == (3,)
    assert env.observation_spec["place", "row"] == Bounded(0, 9, shape=[3, 2], dtype=torch.int32)
    assert env.observation_spec["action_mask"] == Binary(shape=[3, 2, 3], dtype=torch.bool)
    assert env.observation_spec["count"] == Bounded(0, 6, shape=[3, 1], dtype=torch.int32)
    assert env.action_spec == OneHot(3, shape=[3, 2, 3], dtype=torch.int64)
    assert env.reward_spec == Unbounded([3, 2])
    snake = JumanjiEnv("Snake-v1", categorical_action_encoding=True)
    assert snake.action_spec == Categorical(4, shape=[1])
    assert snake.reward_spec == Unbounded([1, 1])
    assert isinstance(JumanjiEnv("Tetris-v0").action_spec, MultiOneHot)


def test_an_env_is_what_jumanji_itself_makes_of_its_seed() -> None:
    env, native = JumanjiEnv("Snake-v1", 1, categorical_action_encoding=True), jumanji.make("Snake-v1")
    env.set_seed(3)
    torch.manual_seed(0)
    data = env.rollout(30)[0]
    state, said = jax.jit(native.reset)(jax.random.PRNGKey(3))
    step = jax.jit(native.step)
    for t in range(len(data)):
        np.testing.assert_array_equal(data["grid"][t], said.observation.grid)
        state, said = step(state, data["action"][t].numpy())
        np.testing.assert_array_equal(data["next", "grid"][t], said.observation.grid)
        np.testing.assert_array_equal(data["next", "action_mask"][t], said.observation.action_mask)
        assert data["next", "reward"][t].item() == float(said.reward)
        assert bool(data["next", "done"][t]) == bool(said.last())


def rightwards(td: Any) -> Any:
    return td.set("action", torch.full((*td.batch_size, 2), 2))


def test_episodes_end_as_the_discount_says_and_each_is_drawn_anew() -> None:
    env = JumanjiEnv(Walk(), 4, categorical_action_encoding=True)
    env.set_seed(0)
    data = env.rollout(60, rightwards, break_when_any_done=False)
    following = data["next"]
    over, late = following["place", "row"][..., :1] == 9, following["count"] == 6
    assert torch.equal(following["terminated"], over)
    assert torch.equal(following["truncated"], late & ~over)
    assert over.any()
    assert following["truncated"].any()
    assert torch.equal(following["reward"], following["place", "row"].float())
    begun = data["place", "row"][:, 1:][following["done"][:, :-1, 0]]
    assert (begun < 5).all()
    assert len(begun.unique(dim=0)) > 5


def test_a_limit_of_ours_truncates() -> None:
    data = JumanjiEnv(Walk(), 2, max_episode_steps=3).rollout(6, break_when_any_done=False)
    assert data["next", "truncated"][..., 0].tolist() == [[False, False, True] * 2] * 2


def test_an_env_does_not_depend_on_its_neighbours() -> None:
    few, many = (JumanjiEnv(Walk(), n, categorical_action_encoding=True) for n in (2, 5))
    few.set_seed(0), many.set_seed(0)
    assert (
        few.rollout(20, rightwards, break_when_any_done=False)
        == many.rollout(20, rightwards, break_when_any_done=False)[:2]
    ).all()


def test_mistakes_are_explained() -> None:
    with pytest.raises(UnknownName, match=r"no Jumanji env 'Snak-v1'\. Did you mean 'Snake-v1'"):
        JumanjiEnv("Snak-v1")
    with pytest.raises(ConfigError, match="Snake-v1 cannot be made with limit: TypeError"):
        JumanjiEnv("Snake-v1", limit=3)
    with pytest.raises(ConfigError, match="from_pixels: backend=jumanji renders no frames"):
        JumanjiEnv("Snake-v1", from_pixels=True)
    with pytest.raises(ConfigError, match=r"batch_size: found \[2, 2\], expected one dimension: batch_size=\[1\]"):
        JumanjiEnv("Snake-v1", batch_size=[2, 2])
    env = JumanjiEnv(Walk(), 2, categorical_action_encoding=True)
    with pytest.raises(ActionError):
        env.step(env.reset().set("action", torch.full((2, 2), 3)))
    with pytest.raises(ConfigError, match="backend=jumanji takes no options, found low"):
        env.reset(low=1)


def test_from_yaml(cli: Command) -> None:
    env = make_env("env=snake", "backend.options.time_limit=3", "parallel.num_envs=2")
    assert env.rollout(5, break_when_any_done=False)["next", "done"].any()
    done = cli("rollout", "env=snake", "transforms=action_mask", "parallel.num_envs=3", "max_steps=20", "seed=1")
    assert done.code == 0, done.err
    assert "60, 20 of each of 3 envs" in done.err + done.out


# -- an env that exists -----------------------------------------------------------------------------------------------


def test_a_wrapper_is_the_env_by_its_name() -> None:
    by_name, wrapper = JumanjiEnv("Snake-v1", 2), JumanjiWrapper(jumanji.make("Snake-v1"), batch_size=[2])
    assert isinstance(by_name, JumanjiWrapper)
    assert (by_name.env_name, wrapper.env_name) == ("Snake-v1", "Snake")
    found = []
    for env in (by_name, wrapper):
        torch.manual_seed(0)
        env.set_seed(3)
        found.append(env.rollout(12, break_when_any_done=False))
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert "Snake-v1" in JumanjiWrapper.available_envs


def test_what_cannot_be_stepped_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^JumanjiWrapper: expected an env of Jumanji, .*, found builtins\.str$"):
        JumanjiWrapper("Snake-v1")
    with pytest.raises(ConfigError, match="JumanjiEnv: found AutoResetWrapper around the env"):
        JumanjiEnv(jumanji.wrappers.AutoResetWrapper(Walk()))
    with pytest.raises(ConfigError, match="options: found time_limit, expected none: Walk is made already"):
        JumanjiEnv(Walk(), time_limit=3)

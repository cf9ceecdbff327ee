"""Envs written for gym, played by stand-ins: gym is not installed."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from gymnasium import spaces

import envcli
from envcli.backends.gym import GymEnv, GymWrapper, from_gymnasium
from envcli.errors import ConfigError, SpecError
from envcli.gym.old_gym import OldGym, from_old, is_old

Discrete = type("Discrete", (SimpleNamespace,), {})
Box = type("Box", (SimpleNamespace,), {})


class Counting:
    """Shows how many steps were made; steps of 4 values, a ``reset`` that gives an observation, no seed."""

    observation_space = Box(low=0.0, high=np.inf, shape=(1,), dtype=np.float32)
    action_space = Discrete(n=3)
    metadata: ClassVar[Any] = {"render.modes": ["rgb_array"], "video.frames_per_second": 50}

    def __init__(self, end: int = 5, limit: int | None = None) -> None:
        self.end, self.limit = end, limit
        self.count = self.first = self.closed = 0

    def _shown(self) -> Any:
        return np.full(1, self.count, np.float32)

    def reset(self) -> Any:
        self.count = self.first
        return self._shown()

    def step(self, action: Any) -> tuple[Any, ...]:
        self.count += 1
        ended, late = self.count == self.end, self.count == self.limit
        info = {"TimeLimit.truncated": not ended} if late else {}
        return self._shown(), 1.0, ended or late, info

    def render(self, mode: str = "human") -> Any:
        return np.full((4, 4, 3), self.count, np.uint8) if mode == "rgb_array" else None

    def close(self) -> None:
        if self.closed:
            raise ValueError("it has been closed already")
        self.closed += 1


class BySeedMethod(Counting):
    def seed(self, seed: int | None = None) -> list[int | None]:
        self.first = (seed or 0) % 100
        return [seed]


class ByReset(Counting):
    """As gym 0.26 has it: ``render`` without modes, steps of 5 values."""

    render_mode = "rgb_array"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.first = self.first if seed is None else seed % 100
        return super().reset(), {"options": options}

    def step(self, action: Any) -> tuple[Any, ...]:
        observation, reward, done, info = super().step(action)
        return observation, reward, done, False, info

    def render(self) -> Any:
        return super().render("rgb_array")


class Sized(Counting):
    """As crafter's: no modes, no ``close``, no ``metadata``."""

    metadata = None
    close = None

    def render(self, size: int = 6) -> Any:
        return np.zeros((size, size, 3), np.uint8)


class Layer:
    """As a wrapper of gym's hands on what it is given."""

    def __init__(self, env: Any, max_episode_steps: int | None = None) -> None:
        self.env, self._max_episode_steps = env, max_episode_steps

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.env, name)

    @property
    def unwrapped(self) -> Any:
        return getattr(self.env, "unwrapped", self.env)

    def reset(self, **given: Any) -> Any:
        return self.env.reset(**given)

    def step(self, action: Any) -> Any:
        return self.env.step(action)

    def render(self, *args: Any, **given: Any) -> Any:
        return self.env.render(*args, **given)


class TimeLimit(Layer):
    """Breaks on steps of 4 values, as gym's since 0.26."""

    def step(self, action: Any) -> Any:
        _, _, _, _, _ = found = self.env.step(action)
        return found


TimeLimit.__module__ = "gym.wrappers.time_limit"


@pytest.mark.parametrize("kind", [Counting, BySeedMethod, ByReset, Sized])
def test_it_answers_as_gymnasiums_do(kind: type[Counting]) -> None:
    env = OldGym(kind())
    observation, info = env.reset()
    assert env.observation_space.contains(observation)
    assert isinstance(info, dict)
    _, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert (reward, terminated, truncated) == (1.0, False, False)
    assert isinstance(info, dict)


@pytest.mark.parametrize("kind", [Counting, ByReset])
def test_rollouts(kind: type[Counting]) -> None:
    env = GymWrapper(kind(), from_pixels=True, pixels_only=False)
    rollout = env.rollout(9, break_when_any_done=False)
    assert rollout["next", "observation"].flatten().tolist() == [1, 2, 3, 4, 5, 1, 2, 3, 4]
    assert rollout["next", "terminated"].flatten().tolist() == [False] * 4 + [True] + [False] * 4
    assert rollout["next", "pixels"].flatten(1)[:, 0].tolist() == [1, 2, 3, 4, 5, 1, 2, 3, 4]
    assert env.step_seconds == 0.02
    assert env.action_spec.shape == torch.Size([3])


def test_a_time_limit_is_told_from_an_end() -> None:
    for limit, ends in ((3, (False, True)), (5, (True, False))):
        last = from_gymnasium(Counting(limit=limit)).rollout(9)[-1]
        assert (last["next", "terminated"].item(), last["next", "truncated"].item()) == ends


def test_seeds_go_where_they_are_taken() -> None:
    for env in (BySeedMethod(), ByReset(), Layer(Layer(ByReset())), Layer(BySeedMethod())):
        ours = GymWrapper(env)
        ours.set_seed(7)
        assert ours.reset()["observation"].item() == 7
        assert ours.reset()["observation"].item() == 7  # the seed is said once


def test_an_env_that_takes_no_seed_says_so() -> None:
    env = GymWrapper(Layer(Counting()))
    env.set_seed(7)
    with pytest.warns(UserWarning, match=r"test_old_gym\.Counting takes no seed in .*Its constructor may take one"):
        env.reset()
    env.reset()  # once for each seed


def test_an_env_that_is_made_anew_for_a_seed() -> None:
    first = Counting()
    made = []

    def anew(seed: int) -> Counting:
        made.append(Counting())
        made[-1].first = seed
        return made[-1]

    env = OldGym(first, anew)
    assert env.reset()[0].item() == 0
    assert env.reset(seed=3)[0].item() == 3
    assert env.reset()[0].item() == 3
    assert (len(made), first.closed, env.unwrapped) == (1, 1, made[0])
    env.close()
    env.close()
    assert made[0].closed == 1


def test_options_of_a_reset() -> None:
    assert OldGym(ByReset()).reset(options={"a": 1})[1] == {"options": {"a": 1}}
    with pytest.raises(TypeError, match="options"):
        OldGym(Counting()).reset(options={"a": 1})


def test_frames() -> None:
    assert GymWrapper(Sized()).step_seconds is None
    for env, height in ((Counting(), 4), (Layer(Counting()), 4), (ByReset(), 4), (Sized(), 6)):
        ours = GymWrapper(env, from_pixels=True)
        assert ours.reset()["pixels"].shape == torch.Size([height, height, 3])
        ours.close()


def test_an_env_that_draws_nothing() -> None:
    parts = {name: getattr(Counting, name) for name in ("observation_space", "action_space", "reset", "step", "_shown")}
    bare = type("Bare", (), {**parts, "first": 0, "end": 5, "limit": None})()
    assert GymWrapper(bare).rollout(9)["next", "reward"].sum() == 5
    with pytest.raises(ConfigError, match=r"Bare cannot be rendered: .* no attribute 'render'"):
        GymWrapper(bare, from_pixels=True)


def test_gyms_own_layers_are_taken_off_and_the_limit_kept() -> None:
    env = from_old(TimeLimit(Counting(), max_episode_steps=3))
    ours = GymWrapper(env)
    assert ours.rollout(9)["next", "truncated"].flatten().tolist() == [False, False, True]
    assert isinstance(from_old(Layer(Counting())), OldGym)  # somebody else's stay
    with pytest.raises(ValueError, match="not enough values"):
        OldGym(TimeLimit(Counting())).step(0)


def test_attributes_are_the_simulators() -> None:
    native = Counting()
    native.spec = SimpleNamespace(id="Count-v3")  # type: ignore[attr-defined]
    env = GymWrapper(TimeLimit(native, 9))
    assert "env=Count-v3" in repr(env)
    assert "env=Counting" in repr(GymWrapper(Counting()))
    assert (env.end, env._env.unwrapped) == (5, native)
    env._env.set_wrapper_attr("end", 2)
    assert native.end == 2
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = env.nothing_like_it
    assert not env._env.env.set_wrapper_attr("nothing_like_it", 1, force=False)


def test_it_is_pickled_with_its_env() -> None:
    env = pickle.loads(pickle.dumps(OldGym(Counting(end=2))))
    env.reset()
    assert [env.step(0)[2] for _ in range(2)] == [False, True]


def test_what_a_step_must_be() -> None:
    env = Counting()
    env.step = lambda action: (0, 1, False)  # type: ignore[method-assign, assignment]
    with pytest.raises(SpecError, match="found a tuple of 3"):
        GymWrapper(env).rollout(2)


def test_who_is_one() -> None:
    assert is_old(Counting())
    batch = Counting()
    batch.num_envs = 3  # type: ignore[attr-defined]
    no_space = Counting()
    no_space.action_space = lambda agent: 1  # type: ignore[assignment]
    for other in (batch, no_space, GymEnv("CartPole-v1"), Counting.action_space, 3, None):
        assert not is_old(other)
    with pytest.raises(ConfigError, match=r"expected a gymnasium.Env, found .*GymEnv"):
        GymWrapper(GymEnv("CartPole-v1"))


def test_on_to_a_gymnasium_env_of_ours() -> None:
    with envcli.as_gymnasium(from_gymnasium(ByReset()), observation="observation") as env:
        assert env.reset(seed=2)[0].tolist() == [2]
        assert env.action_space == spaces.Discrete(3)

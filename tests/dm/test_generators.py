"""The generators of dm_env environments."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("dm_control") is None:
    pytest.skip("needs dm_control", allow_module_level=True)

import dm_env
from dm_env import specs

from envcli.backends.dm_control import DMControlWrapper
from envcli.dm.generators import generators, reseed
from envcli.envs.env import Env
from envcli.seeding import next_seed
from envcli.testing.contract import EnvContract


class Drawn(dm_env.Environment):
    """Shows three numbers that it draws, as bsuite's envs do, and ends with the fifth step."""

    def __init__(self, generator: Any) -> None:
        self._rng = self._same = generator

    def reset(self) -> Any:
        self._left = 5
        return dm_env.restart(self._rng.uniform(size=3))

    def step(self, action: Any) -> Any:
        if not self._left:
            return self.reset()
        self._left -= 1
        ended = dm_env.transition if self._left else dm_env.termination
        return ended(1.0, self._rng.uniform(size=3))

    def observation_spec(self) -> Any:
        return specs.BoundedArray((3,), np.float64, 0, 1)

    def action_spec(self) -> Any:
        return specs.DiscreteArray(2)


class Noisy(Drawn):
    """Puts noise on what another one shows, from a generator of its own."""

    def __init__(self, env: dm_env.Environment) -> None:
        super().__init__(np.random.RandomState(7))
        self._env = env

    def reset(self) -> Any:
        return self._with_noise(self._env.reset())

    def step(self, action: Any) -> Any:
        return self._with_noise(self._env.step(action))

    def _with_noise(self, step: Any) -> Any:
        return step._replace(observation=(step.observation + self._rng.rand(3)) / 2)


class TestDrawn(EnvContract):
    def make_env(self) -> Env:
        return DMControlWrapper(Drawn(np.random.RandomState()))


class TestNoisy(EnvContract):
    def make_env(self) -> Env:
        return DMControlWrapper(Noisy(Drawn(np.random.default_rng())))


def test_it_begins_as_if_made_with_the_seed() -> None:
    for kind in (np.random.RandomState, np.random.default_rng):
        with DMControlWrapper(Drawn(kind(99))) as env:
            env.set_seed(3)
            np.testing.assert_array_equal(env.reset()["observation"], Drawn(kind(3)).reset().observation)


def test_what_is_inside_draws_from_the_seed_and_all_others_from_those_that_follow() -> None:
    inner, second = np.random.RandomState(1), np.random.default_rng(1)
    env = Noisy(Drawn(inner))
    env._same = second
    env._env.around = env
    found = generators(env)
    assert [found[0], found[2]] == [inner, second]
    reseed(found, 3)
    assert inner.randint(2**30) == np.random.RandomState(3).randint(2**30)
    assert found[1].randint(2**30) == np.random.RandomState(next_seed(3)).randint(2**30)
    assert second.random() == np.random.default_rng(next_seed(next_seed(3))).random()
    reseed([inner], None)
    assert inner.randint(2**30) != np.random.RandomState(3).randint(2**30)

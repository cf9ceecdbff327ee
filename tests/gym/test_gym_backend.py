"""set_gym_backend and gym_backend: gymnasium, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import pytest

from envcli.errors import ConfigError
from envcli.gym.gym_backend import gym_backend, set_gym_backend


@pytest.mark.parametrize("backend", ["gymnasium", gymnasium, lambda: gymnasium])
def test_every_way_to_choose_it(backend: Any) -> None:
    with set_gym_backend(backend) as entered:
        assert entered is None
        assert gym_backend() is gymnasium
    set_gym_backend(backend).set()
    assert set_gym_backend(backend).backend is gymnasium

    @set_gym_backend(backend)
    def add(one: int, other: int = 0) -> int:
        """Adds."""
        return one + other

    assert (add(1, other=2), add(3), add.__name__) == (3, 3, "add")


def test_what_is_raised_inside_gets_out() -> None:
    with pytest.raises(KeyError), set_gym_backend("gymnasium"):
        raise KeyError


@pytest.mark.parametrize(("backend", "name"), [("gym", "gym"), (math, "math"), (lambda: "gym", "gym")])
def test_another_one_is_refused(backend: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=f"^set_gym_backend: found '{name}', expected 'gymnasium', the only"):
        set_gym_backend(backend)


def test_modules_of_it() -> None:
    assert gym_backend("wrappers") is gym_backend(".wrappers") is gymnasium.wrappers
    assert gym_backend("envs.registration") is gymnasium.envs.registration
    with pytest.raises(ModuleNotFoundError, match=r"gymnasium\.nothing"):
        gym_backend("nothing")

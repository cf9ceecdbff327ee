"""Ids of gym's, which is not installed: a module with a registry stands for it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from envcli.backends.gym import GymEnv
from envcli.backends.gymnasium_vector import GymnasiumVectorEnv
from envcli.errors import ConfigError, UnknownName
from envcli.gym import old_ids
from tests.gym.test_old_gym import Counting


class ByConstructor(Counting):
    """Takes a seed as crafter does."""

    def __init__(self, end: int = 5, seed: int | None = None) -> None:
        super().__init__(end)
        self.seeded = seed
        self.first = (50 if seed is None else seed) % 100


class Drawn(Counting):
    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self, mode: str = "human") -> Any:
        return np.zeros((4, 4, 3), np.uint8) if self.render_mode == "rgb_array" else None


@pytest.fixture(autouse=True, params=["a dict", "of old"])
def registered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some ids, as gym 0.26 and 0.21 keep them."""
    new = request.param == "a dict"

    def spec(entry_point: object, limit: int | None = None, **options: Any) -> SimpleNamespace:
        kept = {"kwargs" if new else "_kwargs": options}
        return SimpleNamespace(id="Count-v3", entry_point=entry_point, max_episode_steps=limit, **kept)

    known = {
        "Count-v3": spec(f"{__name__}:ByConstructor", 3),
        "Short-v0": spec(ByConstructor, end=2),
        "Drawn-v0": spec(Drawn),
    }
    registry = known if new else SimpleNamespace(env_specs=known)
    monkeypatch.setitem(sys.modules, "gym.envs.registration", SimpleNamespace(registry=registry))


def test_an_id_with_its_limit_and_options() -> None:
    env = GymEnv(f"{__name__}:Count-v3", end=9)
    assert "env=Count-v3" in repr(env)
    assert env.rollout(9)["next", "truncated"].flatten().tolist() == [False, False, True]
    assert env.end == 9
    assert GymEnv(f"{__name__}:Short-v0").end == 2
    limited = GymEnv(f"{__name__}:Short-v0", end=9, max_episode_steps=4).rollout(9)
    assert limited["next", "truncated"].flatten().tolist() == [False] * 3 + [True]


def test_each_seed_makes_it_anew_unless_one_is_given() -> None:
    env = GymEnv(f"{__name__}:Count-v3")
    assert env.reset()["observation"].item() == 50
    for seed in (4, 5, 4):
        env.set_seed(seed)
        assert env.reset()["observation"].item() == seed
        assert "env=Count-v3" in repr(env)
    given = GymEnv(f"{__name__}:Count-v3", seed=7)
    given.set_seed(4)
    with pytest.warns(UserWarning, match="takes no seed"):
        assert given.reset()["observation"].item() == 7


def test_it_is_made_to_be_drawn() -> None:
    assert GymEnv(f"{__name__}:Drawn-v0", from_pixels=True).reset()["pixels"].shape == (4, 4, 3)
    assert GymEnv(f"{__name__}:Drawn-v0").unwrapped.render_mode is None


def test_what_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match=r"Count-v3 does not take these options: edn"):
        GymEnv(f"{__name__}:Count-v3", edn=3)
    with pytest.raises(UnknownName, match=rf"Did you mean '{__name__}:Count-v3'"):
        GymEnv(f"{__name__}:Count-v2")
    with pytest.raises(UnknownName, match="no gymnasium env 'Count-v3'"):  # workers would not know it
        GymEnv("Count-v3")
    with pytest.raises(UnknownName, match=r"as a single env\. Type: backend=gymnasium$"):
        GymnasiumVectorEnv(f"{__name__}:Count-v3", num_envs=2)


def test_none_without_gym(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gym.envs.registration")
    assert not old_ids.registry()

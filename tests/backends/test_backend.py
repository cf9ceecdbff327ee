from __future__ import annotations

import pickle
from typing import Any, Self

import pytest

from envcli.backends.backend import AvailableEnvs, ByName
from envcli.backends.gym import GymEnv
from envcli.errors import ConfigError
from envcli.vocabulary import signature


class Made:
    """Remembers what it was made with."""

    from_name = ByName()
    available_envs = AvailableEnvs(lambda cls: [cls.__name__])

    def __init__(self, game: str, num_envs: int | None = None, *, gravity: float = 9.8, **options: Any) -> None:
        self.given = (game, num_envs, gravity, options)


class MadeOfTwo(Made):
    from_name = ByName(lambda name: name.split("-"))

    def __init__(self, domain: str, task: str, *, seed: int, **options: Any) -> None:
        super().__init__(f"{task} of {domain}", **options, seed=seed)


class Renamed(Made):
    @classmethod
    def from_name(cls, name: str, **options: Any) -> Self:
        return super().from_name(name.title(), **options)


def test_a_name_is_what_the_constructor_cannot_do_without() -> None:
    assert Made.from_name("pong", 3, gravity=1.6).given == ("pong", 3, 1.6, {})
    assert Made.from_name(name="pong", lives=2).given == ("pong", None, 9.8, {"lives": 2})
    assert list(signature.arguments(Made.from_name)) == ["name", "num_envs", "gravity"]
    assert signature.arguments(Made.from_name)["gravity"].annotation == "float"
    assert MadeOfTwo.from_name("cheetah-run", seed=5).given == ("run of cheetah", None, 9.8, {"seed": 5})
    assert list(signature.arguments(MadeOfTwo.from_name)) == ["name", "seed"]


def test_a_node_is_held_against_what_the_constructor_takes() -> None:
    with pytest.raises(ConfigError, match=r"backend.num_env: no such key. Did you mean 'num_envs'"):
        signature.call(Made.from_name, {"name": "pong", "num_env": 2}, "backend")
    with pytest.raises(ConfigError, match=r"backend.gravity: found 'much', expected a number"):
        signature.call(Made.from_name, {"name": "pong", "gravity": "much"}, "backend")
    with pytest.raises(ConfigError, match=r"backend.name: required but not given"):
        signature.call(Made.from_name, {}, "backend")
    made = signature.call(Made.from_name, {"name": "pong", "options": {"lives": 2}}, "backend", gravity=1.6)
    assert made.given == ("pong", None, 1.6, {"lives": 2})


def test_a_subclass_may_write_its_own() -> None:
    env = Renamed.from_name("pong", gravity=1.6)
    assert (type(env), env.given) == (Renamed, ("Pong", None, 1.6, {}))


def test_what_there_is_can_be_asked_of_the_class() -> None:
    assert Made.available_envs == Made("pong").available_envs == ["Made"]
    assert Renamed.available_envs == ["Renamed"]


def test_a_constructor_is_called_as_before() -> None:
    for env in (GymEnv("CartPole-v1"), GymEnv(env_name="CartPole-v1"), GymEnv.from_name(name="CartPole-v1")):
        with env:
            assert repr(env).startswith("GymEnv(env=CartPole-v1")


def test_constructors_of_any_shape_have_a_name() -> None:
    class Optional(Made):
        def __init__(self, name: str = "pong", **options: Any) -> None:
            super().__init__(name, **options)

    class Placed(Made):
        def __init__(self, env_name: str, /, size: int = 1, **options: Any) -> None:
            super().__init__(f"{env_name} {size}", **options)

    assert Optional.from_name("breakout", lives=2).given == ("breakout", None, 9.8, {"lives": 2})
    assert list(signature.arguments(Optional.from_name)) == ["name"]
    assert Placed.from_name("pong", size=3).given[0] == "pong 3"
    assert list(signature.arguments(Placed.from_name)) == ["name", "size"]


def test_it_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(GymEnv.from_name)) == GymEnv.from_name
    assert len({GymEnv.from_name, GymEnv.from_name, Made.from_name}) == 2

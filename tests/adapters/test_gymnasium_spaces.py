"""Spaces of envs, single and many."""

from __future__ import annotations

from typing import Any

import pytest
from gymnasium import spaces

from envcli import GymWrapper, ParallelEnv, StepCounter, TransformedEnv
from envcli.adapters.gymnasium_spaces import GymnasiumSpaces
from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.testing.gym_toys import ExoticGym, every_space


def exotic(**options: Any) -> Env:
    return GymWrapper(ExoticGym(**options))


@pytest.mark.parametrize("space", [every_space(), *every_space().values()], ids=str)
@pytest.mark.parametrize("categorical", [False, True])
def test_the_simulators_own_spaces_are_kept(space: Any, categorical: bool) -> None:
    action = space if not isinstance(space, spaces.Dict) else spaces.Dict(act=space)
    with GymWrapper(ExoticGym(space, action), categorical_action_encoding=categorical) as env:
        found = GymnasiumSpaces(env)
        assert found.native
        assert found.action == action
        assert found.observation == space


@pytest.mark.usefixtures("fork_server")
def test_also_across_processes() -> None:
    with ParallelEnv(2, exotic, num_workers=1) as env:
        env.start()
        found = GymnasiumSpaces(env)
        assert found.observation == every_space()
        assert found.action == spaces.Discrete(3, start=2)


def test_what_a_transform_adds_makes_a_dict() -> None:
    env = TransformedEnv(exotic(observation_space=spaces.Box(0, 1, (2,))), StepCounter())
    with env:
        whole = GymnasiumSpaces(env).observation
        assert isinstance(whole, spaces.Dict)
        assert set(whole) == {"observation", "step_count"}
        bare = GymnasiumSpaces(env, "observation")
        assert bare.observation == spaces.Box(0, 1, (2,))
        assert list(bare.info) == ["step_count"]
        some = GymnasiumSpaces(env, ["step_count"])
        assert isinstance(some.observation, spaces.Dict)
        assert list(some.info) == ["observation"]
        with pytest.raises(ConfigError, match=r"no observation 'step_cont'\. Did you mean 'step_count'"):
            GymnasiumSpaces(env, "step_cont")


def test_a_part_of_a_dict_is_the_simulators_own() -> None:
    parts = every_space().spaces
    with GymWrapper(ExoticGym()) as env:
        for key, space in parts.items():
            assert GymnasiumSpaces(env, key).observation == space
        assert GymnasiumSpaces(env, list(parts)[:2]).observation == spaces.Dict(dict(list(parts.items())[:2]))


def test_what_a_transform_leaves_alone_stays_the_simulators_own() -> None:
    with TransformedEnv(exotic(), StepCounter()) as env:
        found = GymnasiumSpaces(env)
        assert isinstance(found.observation, spaces.Dict)
        assert {key: found.observation[key] for key in every_space()} == dict(every_space().spaces)
    with TransformedEnv(GymWrapper(ExoticGym(spaces.Discrete(3, start=-2))), StepCounter()) as env:
        found = GymnasiumSpaces(env, "observation")
        assert found.observation == spaces.Discrete(3, start=-2)
        assert found.info.keys() == {"step_count"}

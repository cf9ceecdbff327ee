"""What ``gymnasium.make`` gives for an id of ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import envcli
from envcli import ConfigError, DMControlEnv, EnvBase, GymEnv, UnknownName
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import NestedEnv
from tests.adapters.same import assert_same

ID, OTHER = "envcli-tests/Under-v0", "envcli-tests/Over-v0"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for id in (ID, OTHER):
        gymnasium.registry.pop(id, None)


def of_a_counter(length: int = 2) -> Any:
    return envcli.GymWrapper(CountingGym(length), info_keys=["steps"])


def test_words_make_the_env_that_they_describe() -> None:
    words = ("env=pong", "transforms=atari")
    envcli.register_gym(ID, *words, reward_threshold=20.0)
    env, same = gymnasium.make(ID), envcli.as_gymnasium(*words)
    assert env.spec is not None
    assert env.spec.reward_threshold == 20
    assert_same(env.reset(seed=3), same.reset(seed=3))
    assert_same(env.step(2)[0], same.step(2)[0])
    same.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def test_it_is_made_anew_from_its_spec_as_text() -> None:
    envcli.register_gym(ID, "env=pendulum")
    spec = EnvSpec.from_json(gymnasium.spec(ID).to_json())
    with gymnasium.make(spec, max_episode_steps=2) as env:
        env.reset(seed=0)
        assert [env.step(env.action_space.sample())[3] for _ in range(2)] == [False, True]


def test_an_env_may_be_made_otherwise_than_it_was_registered() -> None:
    envcli.register_gym(ID, "env=cartpole", observation="observation")
    with gymnasium.make(ID, words=["env=acrobot"]) as env:
        assert env.observation_space.shape == (6,)
    with gymnasium.make(ID, transform=envcli.StepCounter(), observation=None) as env:
        assert set(env.reset()[0]) == {"observation", "step_count"}
    with gymnasium.make(ID, transform=envcli.StepCounter()) as env:
        assert env.reset()[1]["step_count"] == 0


def test_make_vec_gives_a_batch_that_begins_anew_in_the_next_step() -> None:
    envcli.register_gym(ID, "env=cartpole")
    envs = gymnasium.make_vec(ID, 3)
    assert isinstance(envs, envcli.adapters.gymnasium_vector_adapter.GymnasiumVectorAdapter)
    assert isinstance(envs.base_env, envcli.ParallelEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    theirs = gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync")
    assert_same(envs.reset(seed=1), theirs.reset(seed=1))
    for _ in range(15):
        ours, other = (each.step(np.ones(3, np.int64)) for each in (envs, theirs))
        assert_same(ours[:4], other[:4])
    envs.close()
    theirs.close()


def test_a_batch_is_as_the_words_and_the_mode_say() -> None:
    envcli.register_gym(ID, "env=cartpole", "parallel=serial")
    envs = gymnasium.make_vec(ID, 2, autoreset_mode="SameStep", transform=envcli.StepCounter())
    assert type(envs.base_env.base_env) is envcli.SerialEnv  # type: ignore[attr-defined]
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.reset()[0]["step_count"].tolist() == [[0], [0]]
    envs.close()


def test_a_function_makes_single_envs_and_batches() -> None:
    transform = envcli.StepCounter()
    envcli.register_gym(ID, of_a_counter, length=3, info_keys=["steps"], transform=transform)
    for _ in range(2):  # each has its own transform
        with gymnasium.make(ID) as env:
            observation, info = env.reset()
            assert (list(observation), info) == (["observation", "step_count"], {"steps": 0})
            assert [env.step(env.action_space.sample())[2] for _ in range(3)] == [False, False, True]
    envs = gymnasium.make_vec(ID, 2, vectorization_mode="vector_entry_point", length=4)
    envs.reset()
    assert [envs.step(envs.action_space.sample())[2].tolist()[0] for _ in range(4)] == [False, False, False, True]
    envs.close()
    assert transform.parent is None


def test_a_class_is_registered_as_with_torchrl() -> None:
    DMControlEnv.register_gym(ID, env_name="cheetah", task_name="run", backend="gymnasium")
    with gymnasium.make(ID) as env:
        first, _ = env.reset(seed=0)
        assert {name: (type(value), value.dtype) for name, value in first.items()} == dict.fromkeys(
            ("position", "velocity"), (torch.Tensor, torch.float64)
        )
        following, reward, *ends, info = env.step(torch.zeros(6, dtype=torch.float64))
        assert not torch.equal(following["velocity"], first["velocity"])
        assert (type(reward), ends, info) == (float, [False, False], {})
    catenated = envcli.CatTensors(in_keys=["position", "velocity"], out_key="observation")
    with gymnasium.make(ID, to_numpy=True, transform=catenated) as env:
        assert_same(env.reset(seed=0)[0], {"observation": torch.cat([first["position"], first["velocity"]]).numpy()})


def test_what_makes_the_env_may_be_another_class() -> None:
    EnvBase.register_gym(ID, entry_point=GymEnv, env_name="CartPole-v1", to_numpy=True)
    with gymnasium.make(ID) as env:
        assert env.observation_space == gymnasium.spaces.Dict(
            observation=gymnasium.make("CartPole-v1").observation_space
        )


def test_tuples_and_single_numbers_are_tensors_too() -> None:
    envcli.register_gym(ID, NestedEnv, to_numpy=False)
    with gymnasium.make(ID) as env:
        observation, _ = env.reset()
        assert all(isinstance(value, torch.Tensor) for value in leaves(observation))
        assert list(leaves(observation))


def leaves(tree: Any) -> Iterator[Any]:
    for part in tree.values():
        yield from leaves(part) if isinstance(part, dict) else [part]


def test_frames_are_drawn_for_whoever_asks() -> None:
    envcli.register_gym(ID, "env=cartpole")
    with gymnasium.make(ID, render_mode="rgb_array") as env:
        env.reset()
        assert np.asarray(env.render()).shape == (400, 600, 3)
    envs = gymnasium.make_vec(ID, 2, render_mode="rgb_array", words=["env=cartpole", "parallel=serial"])
    envs.reset()
    assert np.asarray(envs.render()).shape == (2, 400, 600, 3)
    envs.close()
    GymEnv.register_gym(OTHER, env_name="CartPole-v1", to_numpy=True)
    with gymnasium.make(OTHER, render_mode="rgb_array") as env:
        assert env.render_mode == "rgb_array"


def test_an_env_that_draws_nothing_is_made_all_the_same() -> None:
    envcli.register_gym(ID, "env=cheetah_run")
    with pytest.warns(UserWarning, match="render_mode: no frames will be drawn: "):
        env = gymnasium.make(ID, render_mode="rgb_array")
    assert env.render_mode is None
    env.close()


@pytest.mark.parametrize(
    ("env", "options", "said"),
    [
        ((), {}, "register_gym: found nothing, expected words such as 'env=cartpole', or what makes an env"),
        (("env=cartpole", GymEnv), {}, "register_gym: found 'env=cartpole', <class .*GymEnv'>, expected words"),
        ((3,), {}, "register_gym: found 3, expected words"),
        (("env=cartpole",), {"size": 3}, "register_gym: found size. Of an env of words, say it in words: 'key=value'"),
    ],
)
def test_what_is_no_env_is_refused(env: tuple[Any, ...], options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        envcli.register_gym(ID, *env, **options)
    assert ID not in gymnasium.registry


def test_what_is_made_already_is_refused() -> None:
    with of_a_counter() as env, pytest.raises(ConfigError, match="or what makes an env"):
        envcli.register_gym(ID, env)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"render_mode": "human"}, ConfigError, "render_mode: found 'human', expected 'rgb_array'"),
        ({"size": 3}, ConfigError, "gymnasium.make: found size. Of an env of words, say it in words="),
        ({"info_keys": ["steps"]}, UnknownName, "steps"),
        ({"info_keys": [], "observation": "observation"}, ConfigError, "expected one of them"),
        ({"words": ["env=cartpole", "parallel=serial"]}, ConfigError, "found a batch of envs.*as_gymnasium_vector"),
    ],
)
def test_what_cannot_be_made_says_why(arguments: dict[str, Any], error: type[Exception], said: str) -> None:
    envcli.register_gym(ID, "env=cartpole")
    with pytest.raises(error, match=said):
        gymnasium.make(ID, **arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_episode_steps": 9}, "make_vec: max_episode_steps=9 is for single envs.*StepCounter"),
        ({"to_numpy": False}, "make_vec: to_numpy=False is for single envs"),
        ({"observation": "pixels"}, "pixels"),
    ],
)
def test_a_batch_that_cannot_be_made_says_why(arguments: dict[str, Any], said: str) -> None:
    envcli.register_gym(ID, "env=cartpole", "parallel=serial")
    with pytest.raises((ConfigError, UnknownName), match=said):
        gymnasium.make_vec(ID, 2, **arguments)

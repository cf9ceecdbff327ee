"""One env of ours as gymnasium's."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import envcli
from envcli import ActionError, ConfigError, EnvError, GymEnv, GymWrapper, SerialEnv, TransformedEnv, UnknownName
from envcli.testing.gym_toys import CountingGym, ExoticGym
from tests.adapters.same import assert_same


@pytest.mark.parametrize(
    "words",
    [
        ("backend.name=Acrobot-v1",),
        ("backend.name=MountainCarContinuous-v0", "transforms=[step_counter]"),
        ("env=pong", "transforms=atari"),
        ("backend.name=Acrobot-v1", "from_pixels=true"),
        ("backend.name=Acrobot-v1", "+backend.options.render_mode=rgb_array"),
    ],
    ids=" ".join,
)
def test_gymnasiums_own_checks_pass_without_a_warning(words: tuple[str, ...]) -> None:
    shown = "observation" if "transforms=[step_counter]" in words else None  # a count has no end, and that is a warning
    with envcli.as_gymnasium(*words, observation=shown) as env, warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)


def test_the_frames_a_second_are_those_of_its_own_steps() -> None:
    with envcli.as_gymnasium("env=cartpole", "transforms=[frame_skip]", "transforms.frame_skip.frame_skip=5") as env:
        assert env.metadata["render_fps"] == 10
    words = ("parallel=serial", "parallel.num_envs=2", "outer_transforms=[frame_skip]")
    envs = envcli.as_gymnasium_vector("env=cartpole", *words, "outer_transforms.frame_skip.frame_skip=5")
    assert envs.metadata["render_fps"] == 10
    envs.close()


def test_it_is_the_native_env_bit_for_bit() -> None:
    native = gymnasium.make("CartPole-v1")
    with envcli.as_gymnasium("env=cartpole") as env:
        assert env.observation_space == native.observation_space
        assert env.action_space == native.action_space
        assert env.metadata["render_fps"] == native.metadata["render_fps"]
        assert_same(env.reset(seed=5), native.reset(seed=5))
        env.action_space.seed(1)
        for _ in range(100):
            action = env.action_space.sample()
            ours, theirs = env.step(action), native.step(action)
            assert_same(ours[0], theirs[0])
            assert ours[1:] == theirs[1:]
            assert [type(one) for one in ours[1:]] == [float, bool, bool, dict]
            if ours[2] or ours[3]:
                assert_same(env.reset(), native.reset())


def test_it_is_our_env_bit_for_bit() -> None:
    words = ("env=pendulum", "frame_skip=2", "transforms=[double_to_float,step_counter]", "seed=4")
    with envcli.make_env(*words) as ours, envcli.as_gymnasium(*words) as env:
        torch.manual_seed(0)
        data = ours.rollout(30)
        observation, _ = env.reset()
        for t in range(30):
            assert np.array_equal(observation["observation"], data["observation"][t].numpy())
            assert observation["step_count"].tolist() == [t]
            observation, reward, *_ = env.step(data["action"][t].numpy())
            assert reward == data["next", "reward"][t].item()


def test_values_of_every_space_arrive_as_they_are() -> None:
    native = ExoticGym()
    with envcli.as_gymnasium(envcli.from_gymnasium(native)) as env:
        observation, _ = env.reset(seed=1)
        assert_same(observation, native.shown[-1])
        for action in (2, 4, np.int64(3)):
            observation, *_ = env.step(action)
            assert_same(observation, native.shown[-1])
            assert native.actions[-1] == action
            assert observation in env.observation_space


def test_what_is_handed_out_is_nobody_elses() -> None:
    with envcli.as_gymnasium(GymWrapper(CountingGym())) as env:
        first, _ = env.reset()
        second, *_ = env.step(0)
        second[:] = 7
        third, *_ = env.step(0)
        assert (first.item(), third.item()) == (0, 2)


def test_options_reach_the_simulator() -> None:
    native = CountingGym()
    with envcli.as_gymnasium(GymWrapper(native)) as env:
        env.reset(seed=3, options={"far": True})
        env.reset(options={})
        assert native.resets[-2:] == [(3, {"far": True}), (None, None)]


def test_the_rest_of_the_observation_is_info() -> None:
    with envcli.as_gymnasium("env=cartpole", "transforms=[step_counter]", observation="observation") as env:
        assert env.observation_space.shape == (4,)
        _, info = env.reset()
        assert info["step_count"].tolist() == [0]
        *_, info = env.step(1)
        assert info["step_count"].tolist() == [1]


def test_rewards_are_rounded_to_float32() -> None:
    native = gymnasium.make("Pendulum-v1")
    with envcli.as_gymnasium("env=pendulum") as env:
        env.reset(seed=0)
        native.reset(seed=0)
        action = np.full(1, 0.3, np.float32)
        assert env.step(action)[1] == np.float32(native.step(action)[1])


def test_the_simulators_info_is_shown_where_it_is_named() -> None:
    native, info_keys = gymnasium.make("Taxi-v4"), "backend.info_keys=[prob,action_mask]"
    with envcli.as_gymnasium("backend.name=Taxi-v4", info_keys, observation="observation") as env:
        assert_same(env.reset(seed=3), native.reset(seed=3))
        for action in (1, 2, 0):
            ours, theirs = env.step(action), native.step(action)
            assert_same(ours[0], theirs[0])
            assert_same(ours[4], theirs[4])


def test_an_action_that_is_not_one_stops_before_the_simulator() -> None:
    native = CountingGym()
    with envcli.as_gymnasium(GymWrapper(native)) as env:
        with pytest.raises(EnvError, match="Call reset"):
            env.step(0)
        env.reset()
        for wrong in (3, -1, 0.5, np.zeros(1, int)):
            with pytest.raises(ActionError, match="action"):
                env.step(wrong)
        assert native.actions == []
    with envcli.as_gymnasium("env=pendulum") as env:
        env.reset()
        with pytest.raises(ActionError, match=r"within \[-2, 2\], found \[9"):
            env.step([9.0])


def test_frames() -> None:
    with envcli.as_gymnasium("env=pong") as env:
        assert env.render_mode == "rgb_array"
        observation, _ = env.reset(seed=0)
        frame = env.render()
        assert np.array_equal(frame, observation)
        assert frame.dtype == np.uint8
    with envcli.as_gymnasium("env=cartpole") as env:
        assert env.render_mode is None
        assert env.render() is None


def test_gymnasium_can_make_it_again_and_wrap_it() -> None:
    with envcli.as_gymnasium("env=cartpole", "frame_skip=2") as env:
        assert env.spec is not None
        assert env.spec.id == "envcli/cartpole"
        again = gymnasium.wrappers.TimeLimit(gymnasium.make(env.spec), 3)
        assert_same(again.reset(seed=2), env.reset(seed=2))
        assert [again.step(0)[3] for _ in range(3)] == [False, False, True]
        again.close()
        again = env.spec.make(render_mode="rgb_array", disable_env_checker=True)
        assert again.render_mode == "rgb_array"
        again.close()


def test_it_owns_its_env() -> None:
    native = CountingGym()
    env = envcli.as_gymnasium(TransformedEnv(GymWrapper(native)))
    env.close()
    env.close()
    assert native.closed == 1
    native = CountingGym()
    with pytest.raises(UnknownName):
        envcli.as_gymnasium(GymWrapper(native), observation="other")
    assert native.closed == 1, "nobody else can close what was refused"


def test_a_batch_is_sent_next_door() -> None:
    with pytest.raises(ConfigError, match="as_gymnasium_vector"):
        envcli.as_gymnasium(SerialEnv(2, lambda: GymEnv("CartPole-v1")))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["deep", "pickle"])
def test_a_copy_goes_its_own_way(copied: Any) -> None:
    with envcli.as_gymnasium("env=cartpole", "transforms=[step_counter]") as env:
        env.reset(seed=0)
        env.step(1)
        with copied(env) as twin:
            ahead = [twin.step(action) for action in (0, 1, 0)]
            for expected, action in zip(ahead, (0, 1, 0), strict=True):
                assert_same(env.step(action), expected)
        assert [int(shown["step_count"][0]) for shown, *_ in ahead] == [2, 3, 4]

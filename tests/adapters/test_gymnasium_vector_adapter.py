"""Many envs of ours as gymnasium's, held against gymnasium's own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import envcli
from envcli import (
    ActionError,
    ClosedError,
    ConfigError,
    EnvError,
    GymEnv,
    GymWrapper,
    SerialEnv,
    StepCounter,
    TransformedEnv,
)
from envcli.testing.gym_toys import CountingGym, ExoticGym
from tests.adapters.same import assert_same

SAME, NEXT, DISABLED = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED


def counting(number: int) -> GymWrapper:
    return GymWrapper(CountingGym(limit=3 + number, time_limit=4))


def exotic(number: int) -> GymWrapper:
    return GymWrapper(ExoticGym(limit=3 + number))


def batch(make: Any, count: int = 3) -> SerialEnv:
    return SerialEnv(count, [lambda i=i: make(i) for i in range(count)])


class Quiet(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Without infos, which ours do not show."""

    def step(self, action: Any) -> Any:
        return *self.env.step(action)[:4], {}


@pytest.mark.usefixtures("fork_server")
@pytest.mark.parametrize("mode", [SAME, NEXT])
@pytest.mark.parametrize("kind", ["cartpole serial", "cartpole processes", "counting", "exotic"])
def test_the_same_as_gymnasiums_own(kind: str, mode: AutoresetMode) -> None:
    if kind.startswith("cartpole"):
        words = ("env=cartpole", f"parallel={kind.split()[1]}", "parallel.num_envs=3", "parallel.num_workers=2")
        words = words[:-1] if "serial" in kind else words
        ours = envcli.as_gymnasium_vector(*words, autoreset_mode=mode)
        native: Any = lambda i: gymnasium.make("CartPole-v1")  # noqa: E731
    else:
        make = counting if kind == "counting" else exotic
        ours = envcli.as_gymnasium_vector(batch(make), autoreset_mode=mode)
        native = lambda i: Quiet(make(i)._env)  # noqa: E731
    theirs = SyncVectorEnv([lambda i=i: native(i) for i in range(3)], autoreset_mode=mode)
    assert ours.metadata["autoreset_mode"] is mode
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    theirs.action_space.seed(1)
    ends = 0
    for _ in range(60):
        actions = theirs.action_space.sample()
        answer = ours.step(actions)
        assert_same(answer, theirs.step(actions))
        ends += int((answer[2] | answer[3]).sum())
    assert ends > 2
    ours.close()
    theirs.close()


@pytest.fixture
def counted() -> Iterator[Any]:
    """Episodes of 3, 4 and 4 steps, the last one cut off by the clock; the count of steps beside the observation."""
    made = batch(lambda i: TransformedEnv(counting(i), StepCounter()))
    envs = envcli.as_gymnasium_vector(made, observation="observation")
    yield envs
    envs.close()


def test_infos_of_the_end_and_of_the_beginning(counted: Any) -> None:
    _, infos = counted.reset()
    assert infos["step_count"].tolist() == [[0], [0], [0]]
    assert infos["_step_count"].all()
    for _ in range(2):
        *_, infos = counted.step([0, 1, 2])
        assert "final_obs" not in infos
    observations, rewards, terminated, truncated, infos = counted.step([0, 1, 2])
    assert observations[:, 0].tolist() == [0, 3, 3]
    assert rewards.tolist() == [3, 3, 3]
    assert (terminated.tolist(), truncated.any()) == ([True, False, False], False)
    assert infos["step_count"].tolist() == [[0], [3], [3]]
    assert infos["_final_obs"].tolist() == [True, False, False]
    assert infos["final_obs"][0].tolist() == [3]
    assert infos["final_obs"][1] is None
    assert infos["final_info"]["step_count"].tolist() == [[3], [0], [0]]
    assert infos["final_info"]["_step_count"].tolist() == [True, False, False]
    *_, terminated, truncated, _ = counted.step([0, 1, 2])
    assert (terminated.tolist(), truncated.tolist()) == ([False, True, False], [False, True, True])


def test_some_begin_anew_by_a_mask() -> None:
    envs = envcli.as_gymnasium_vector(batch(counting), autoreset_mode="Disabled")
    envs.reset()
    for _ in range(3):
        observations, _, terminated, _, _ = envs.step([0, 0, 0])
    assert terminated.tolist() == [True, False, False]
    with pytest.raises(EnvError, match="env 0 is done"):
        envs.step([0, 0, 0])
    observations, _ = envs.reset(options={"reset_mask": terminated})
    assert observations[:, 0].tolist() == [0, 3, 3]
    observations, *_ = envs.step([0, 0, 0])
    assert observations[:, 0].tolist() == [1, 4, 4]
    with pytest.raises(ConfigError, match="reset_mask: expected bool"):
        envs.reset(options={"reset_mask": np.zeros(3, bool)})
    envs.close()


def test_what_is_handed_out_stays(counted: Any) -> None:
    kept = [counted.reset()[0], *(counted.step([0, 0, 0])[0] for _ in range(3))]
    assert [array[1, 0] for array in kept] == [0, 1, 2, 3]


def test_a_wrong_action_moves_nothing(counted: Any) -> None:
    counted.reset()
    for wrong, said in (
        ([0, 3, 0], "found 3 for env 1"),
        ([0, 0], r"expected shape \[3\]"),
        ([0.0] * 3, "whole numbers"),
    ):
        with pytest.raises(ActionError, match=said):
            counted.step(wrong)
    assert counted.step([0, 0, 0])[0][:, 0].tolist() == [1, 1, 1]


def test_sent_and_received(counted: Any) -> None:
    counted.reset()
    with pytest.raises(EnvError, match="no step is in progress"):
        counted.step_wait()
    counted.step_async([0, 0, 0])
    with pytest.raises(EnvError, match="in progress"):
        counted.step_async([0, 0, 0])
    assert counted.step_wait()[1].tolist() == [1, 1, 1]


def test_seeds_one_for_each(counted: Any) -> None:
    counted.reset(seed=[5, 7, 9])
    natives = [env.base_env._env for env in counted.base_env._envs().envs]
    assert [native.resets[-1][0] for native in natives] == [5, 7, 9]
    counted.reset(seed=2, options={"reset_mask": np.array([False, True, False]), "far": 1})
    assert natives[1].resets[-1] == (3, {"far": 1})
    with pytest.raises(ConfigError, match="found 2 seeds for 3 envs"):
        counted.reset(seed=[1, 2])


def test_the_envs_are_within_reach(counted: Any) -> None:
    counted.reset()
    assert counted.get_attr("limit") == (3, 4, 5)
    counted.set_attr("nickname", "x")
    assert counted.get_attr("nickname") == ("x", "x", "x")
    assert counted.render() is None


@pytest.mark.parametrize("kind", ["serial", "processes"])
def test_some_of_the_envs_are_called(kind: str) -> None:
    envs = envcli.as_gymnasium_vector("env=cartpole", f"parallel={kind}", "parallel.num_envs=3")
    envs.set_attr("nickname", "x")
    assert envs.call("nickname") == ("x", "x", "x")  # as gymnasium's
    with pytest.raises((TypeError, envcli.errors.EnvError), match="not callable"):
        envs.call("nickname", 1)
    envs.each.set_some([2, 0], "nickname", "y")
    assert envs.get_attr("nickname") == ("y", "x", "y")
    assert envs.each.call_some([1, 2, 1], "__getattr__", "nickname") == ["x", "y", "x"]
    envs.close()


def test_of_one_simulator_none_is_called_alone() -> None:
    envs = envcli.as_gymnasium_vector("env=cartpole", "backend=gymnasium_vector", "parallel.num_envs=2")
    with pytest.raises(ConfigError, match="is one simulator of 2 envs"):
        envs.each.call_some([1], "close")
    envs.close()


@pytest.mark.parametrize("kind", ["serial", "processes"])
def test_attributes_are_set_where_they_are(kind: str) -> None:
    words = ("env=cartpole", "transforms=[step_counter]", f"parallel={kind}", "parallel.num_envs=2")
    ours, theirs = (
        envcli.as_gymnasium_vector(*words, observation="observation"),
        gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": "SameStep"}),
    )
    for envs in (ours, theirs):
        envs.reset(seed=0)
        envs.set_attr("gravity", 100.0)
        envs.set_attr("length", [0.5, 2.0])
        assert envs.get_attr("gravity") == (100.0, 100.0)
        assert envs.get_attr("length") == (0.5, 2.0)
    for _ in range(5):
        assert ours.step([1, 1])[0].tolist() == theirs.step([1, 1])[0].tolist()
    with pytest.raises(ConfigError, match="found 3 values for 2 envs"):
        ours.set_attr("gravity", [1.0, 2.0, 3.0])
    ours.close()


@pytest.mark.parametrize("backend", ["torch", "gymnasium_vector"])
def test_what_an_engine_says_is_said_of_each_env(backend: str) -> None:
    envs = envcli.as_gymnasium_vector("env=cartpole", f"backend={backend}", "parallel.num_envs=2")
    assert len(envs.get_attr("step_seconds")) == 2
    assert envs.call("step_seconds") == envs.get_attr("step_seconds")
    assert envs.get_attr("library") == (envs.base_env.library,) * 2
    assert envs.call("fake_tensordict")[0].batch_size == envs.base_env.batch_size
    envs.close()


def test_what_the_batch_itself_has_is_that_of_all_envs_whatever_its_length() -> None:
    envs = envcli.as_gymnasium_vector("env=cartpole", "parallel=serial", "parallel.num_envs=3")
    assert envs.get_attr("done_keys") == (["done", "terminated", "truncated"],) * 3
    envs.close()
    envs = envcli.as_gymnasium_vector("env=cartpole", "backend=gymnasium_vector", "parallel.num_envs=4")
    envs.reset(seed=0)
    assert [state.shape for state in envs.get_attr("state")] == [(4, 4)] * 4
    envs.close()


def test_bounds_of_their_own_have_no_single_space() -> None:
    env = envcli.TorchEnv(envcli.Pendulum(max_torque=torch.tensor([3.0, 1.0])), batch_size=[2])
    with pytest.raises(ConfigError, match="action: the envs have different bounds"):
        envcli.as_gymnasium_vector(env)


def test_an_engine_has_one_value_for_all_envs() -> None:
    envs = envcli.as_gymnasium_vector("env=cartpole", "backend=gymnasium_vector", "parallel.num_envs=2")
    envs.set_attr("gravity", 3.0)
    assert envs.get_attr("gravity") == (3.0, 3.0)
    with pytest.raises(ConfigError, match="is one simulator of 2 envs"):
        envs.set_attr("gravity", [3.0, 4.0])
    envs.close()


def test_seeds_of_an_engine_are_those_of_gymnasiums_own() -> None:
    words = ("env=cartpole", "backend=gymnasium_vector", "backend.vectorization_mode=sync", "parallel.num_envs=3")
    ours, theirs = envcli.as_gymnasium_vector(*words), gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="sync")
    for seed in (3, [5, 7, 9]):
        assert ours.reset(seed=seed)[0].tolist() == theirs.reset(seed=seed)[0].tolist()
    with pytest.raises(ConfigError, match="reset_mask: found a seed with it, but GymnasiumVectorEnv seeds all"):
        ours.reset(seed=3, options={"reset_mask": np.array([True, False, False])})
    ours.close()


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda envs: pickle.loads(pickle.dumps(envs))], ids=["deep", "pickle"]
)
def test_a_copy_goes_its_own_way(copied: Any) -> None:
    envs = envcli.as_gymnasium_vector("env=cartpole", "parallel=serial", "parallel.num_envs=2")
    envs.reset(seed=0)
    envs.step([1, 1])
    twin = copied(envs)
    ahead = [twin.step([0, 1])[0].tolist() for _ in range(3)]
    assert [envs.step([0, 1])[0].tolist() for _ in range(3)] == ahead
    assert ahead[0] != ahead[1]
    envs.close()
    twin.close()


def test_closed_it_says_so() -> None:
    envs = envcli.as_gymnasium_vector("env=cartpole", "parallel=serial", "parallel.num_envs=2")
    envs.reset(seed=0)
    envs.step_async([1, 1])
    envs.close()
    for call in (lambda: envs.step([1, 1]), envs.reset):
        with pytest.raises(ClosedError, match="was closed"):
            call()
    with pytest.raises(EnvError, match="no step is in progress"):
        envs.step_wait()


def test_gymnasiums_vector_wrappers_take_it() -> None:
    words = ("env=cartpole", "parallel=serial", "parallel.num_envs=2")
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(envcli.as_gymnasium_vector(*words))
    envs.reset(seed=0)
    lengths = []
    for _ in range(60):
        *_, infos = envs.step(np.array([0, 1]))
        lengths += [] if "episode" not in infos else infos["episode"]["l"][infos["_episode"]].tolist()
    assert len(lengths) > 8
    assert 8 <= min(lengths) <= max(lengths) <= 12, "always to one side, a pole falls within 8 to 11 steps"
    envs.close()


def test_frames_of_each() -> None:
    envs = envcli.as_gymnasium_vector("env=pong", "transforms=atari", "parallel=serial", "parallel.num_envs=2")
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (2, 4, 84, 84)
    assert observations.dtype == np.uint8
    frames = envs.render()
    assert [frame.shape for frame in frames] == [(84, 84, 3)] * 2
    assert np.array_equal(frames[1][..., 0], observations[1, -1])
    envs.close()


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a single env, expected a batch \[n\]. Add parallel=processes"):
        envcli.as_gymnasium_vector("env=cartpole")
    with pytest.raises(
        ConfigError, match="autoreset_mode: found 'Never', expected one of NextStep, SameStep, Disabled"
    ):
        envcli.as_gymnasium_vector(SerialEnv(2, lambda: GymEnv("CartPole-v1")), autoreset_mode="Never")


def test_the_simulators_info_is_shown_where_it_is_named() -> None:
    words = "backend.name=Taxi-v4", "backend.info_keys=[prob,action_mask]", "parallel=serial", "parallel.num_envs=2"
    native = SyncVectorEnv([lambda: gymnasium.make("Taxi-v4")] * 2)
    envs = envcli.as_gymnasium_vector(*words, observation="observation")
    assert_same(envs.reset(seed=3), native.reset(seed=3))
    assert_same(envs.step(np.array([1, 2]))[4], native.step(np.array([1, 2]))[4])
    envs.close()

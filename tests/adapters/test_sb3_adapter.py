"""Many envs of ours as Stable-Baselines3's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

sb3 = pytest.importorskip("stable_baselines3")

import envcli  # noqa: E402
from envcli import ConfigError, GymWrapper, SerialEnv, StepCounter, TransformedEnv  # noqa: E402
from envcli.adapters.sb3_adapter import Sb3Adapter  # noqa: E402
from envcli.testing.gym_toys import CountingGym  # noqa: E402
from tests.adapters.same import assert_same  # noqa: E402

CARTPOLE = ("env=cartpole", "parallel=serial", "parallel.num_envs=3")


@pytest.fixture
def counted() -> Iterator[Any]:
    """Episodes of 2 steps, and of 3 that the clock ends."""

    def make(limit: int) -> Any:
        return TransformedEnv(GymWrapper(CountingGym(limit, time_limit=3)), StepCounter())

    envs = envcli.as_sb3(SerialEnv(2, make, [{"limit": 2}, {"limit": 9}]), observation="observation")
    yield envs
    envs.close()


def test_the_same_as_its_own() -> None:
    from stable_baselines3.common.env_util import make_vec_env

    ours, theirs = envcli.as_sb3(*CARTPOLE), make_vec_env("CartPole-v1", 3, monitor_kwargs={})
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    ours.seed(3)
    theirs.seed(3)
    assert_same(ours.reset(), theirs.reset())
    generator = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        actions = generator.integers(2, size=3)
        one, other = ours.step(actions), theirs.step(actions)
        for a, b in zip(one[:3], other[:3], strict=True):
            assert_same(a, b)
        for mine, foreign in zip(one[3], other[3], strict=True):
            foreign.pop("episode", None)  # their Monitor's
            assert_same(mine, foreign)
        ends += int(one[2].sum())
    assert ends > 2
    ours.close()
    theirs.close()


def test_the_end_of_an_episode(counted: Any) -> None:
    counted.reset()
    _, _, dones, infos = counted.step(np.array([0, 0]))
    assert dones.tolist() == [False, False]
    assert infos[0]["TimeLimit.truncated"] is False
    observations, rewards, dones, infos = counted.step(np.array([0, 0]))
    assert (observations[:, 0].tolist(), rewards.tolist(), dones.tolist()) == ([0, 2], [2, 2], [True, False])
    assert infos[0]["terminal_observation"].tolist() == [2]
    assert infos[0]["step_count"].tolist() == [2]
    assert infos[0]["TimeLimit.truncated"] is False
    assert counted.reset_infos[0]["step_count"].tolist() == [0]
    *_, infos = counted.step(np.array([0, 0]))
    assert infos[1]["TimeLimit.truncated"] is True


def test_the_envs_are_within_reach(counted: Any) -> None:
    assert counted.get_attr("limit", [1]) == [9]
    assert counted.env_is_wrapped(object) == [False, False]
    assert counted.render_mode is None
    counted.set_attr("nickname", "x")
    assert counted.get_attr("nickname") == ["x", "x"]
    counted.set_attr("nickname", "y", indices=1)
    assert counted.get_attr("nickname") == ["x", "y"]
    assert counted.env_method("__getattr__", "nickname", indices=[1, 0]) == ["y", "x"]
    assert len(counted.env_method("state_dict")) == 2


def test_another_autoreset_is_refused() -> None:
    envs = envcli.as_gymnasium_vector(*CARTPOLE, autoreset_mode="NextStep")
    with pytest.raises(ConfigError, match="found autoreset_mode NextStep, expected SameStep"):
        Sb3Adapter(envs)
    envs.close()


@pytest.mark.slow
def test_ppo_learns_to_hold_the_pole() -> None:
    from stable_baselines3.common.vec_env import VecMonitor

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks as small as these are slower with two
    envs = VecMonitor(envcli.as_sb3("env=cartpole", "parallel=serial", "parallel.num_envs=4"))
    try:
        model = sb3.PPO("MlpPolicy", envs, n_steps=128, batch_size=128, learning_rate=1e-3, seed=0, device="cpu")
        model.learn(4096)
    finally:
        envs.close()
        torch.set_num_threads(threads)
    lengths = [episode["l"] for episode in model.ep_info_buffer]
    assert np.mean(lengths[-20:]) > 35, "a random policy holds it for 22 steps"


@pytest.mark.parametrize("backend", ["torch", "gymnasium_vector"])
def test_an_engine_is_seeded_too(backend: str) -> None:
    envs = envcli.as_sb3("env=cartpole", f"backend={backend}", "parallel.num_envs=2", observation="observation")
    shown = []
    for _ in range(2):
        envs.seed(7)
        shown.append(envs.reset().tolist())
    assert shown[0] == shown[1] != envs.reset().tolist()
    envs.close()


def test_a_single_env_is_a_batch_of_one() -> None:
    envs = envcli.as_sb3("env=cartpole")
    assert envs.num_envs == 1
    assert envs.reset().shape == (1, 4)
    envs.close()


def test_the_simulators_info_is_shown_where_it_is_named() -> None:
    words = "backend.name=Taxi-v4", "backend.info_keys=[prob,action_mask]", "parallel=serial", "parallel.num_envs=2"
    envs = envcli.as_sb3(*words, observation="observation")
    envs.seed(3)
    envs.reset()
    assert [info["prob"] for info in envs.reset_infos] == [1, 1]
    *_, infos = envs.step(np.array([1, 2]))
    assert [info["action_mask"].shape for info in infos] == [(6,), (6,)]
    envs.close()


def test_its_monitor_finds_named_info() -> None:
    from stable_baselines3.common.monitor import Monitor

    env = Monitor(
        envcli.as_gymnasium(GymWrapper(CountingGym(2), info_keys=["steps"]), observation="observation"),
        info_keywords=("steps",),
    )
    env.reset()
    env.step(0)
    assert env.step(0)[4]["episode"]["steps"] == 2

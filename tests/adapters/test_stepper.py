"""An env stepped on rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase

from envcli import (
    Categorical,
    Composite,
    GymEnv,
    ParallelEnv,
    RewardSum,
    SerialEnv,
    StepCounter,
    TransformedEnv,
    Unbounded,
    step_mdp,
)
from envcli.adapters.stepper import Stepper
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError
from envcli.testing.toys import CountingEnv


def made() -> Env:
    return TransformedEnv(GymEnv("CartPole-v1"), StepCounter(max_steps=9)).append_transform(RewardSum())


def test_it_goes_where_tensordicts_go_bit_for_bit() -> None:
    with SerialEnv(2, made) as ours, SerialEnv(2, made) as other:
        ours.set_seed(3)
        other.set_seed(3)
        stepper, td = Stepper(ours), other.reset()
        stepper.reset()
        for _ in range(40):
            td = other.rand_action(td)
            stepper.root["action",][...] = td["action"].numpy()
            stepper.step()
            td = other.step(td)
            for path, row in stepper.following.items():
                assert np.array_equal(row, td.get(("next", *path)).numpy()), path
            terminated, truncated = stepper.ends()
            assert np.array_equal(terminated | truncated, td["next", "done"][:, 0].numpy())
            td = step_mdp(td)
            done = terminated | truncated
            stepper.go_on(everything=bool(done.any()))
            if done.any():
                stepper.reset(done)
                td["_reset"] = torch.from_numpy(done)[:, None]
                td = other.reset(td)
                assert np.array_equal(stepper.root["observation",], td["observation"].numpy())
                assert np.array_equal(stepper.root["step_count",], td["step_count"].numpy())


@pytest.mark.parametrize("workers", [None, 2])
def test_with_new_episodes_in_the_same_step_it_goes_there_too(workers: int | None) -> None:
    ours = SerialEnv(3, made) if workers is None else ParallelEnv(3, made, num_workers=workers)
    with ours, SerialEnv(3, made) as other:
        ours.set_seed(3)
        other.set_seed(3)
        stepper, td, ended = Stepper(ours, onward=True), other.reset(), 0
        stepper.reset()
        for _ in range(40):
            stepper.root["action",][...] = other.rand_action(td)["action"].numpy()
            stepper.step()
            td = other.step(td)
            for path, row in stepper.following.items():
                assert np.array_equal(row, td.get(("next", *path)).numpy()), path
            terminated, truncated = stepper.ends()
            done = terminated | truncated
            td = other.maybe_reset(other.step_mdp(td))
            if done.any():
                ended += 1
                stepper.begin_anew(done)
                for path in set(stepper.root) - {("action",)}:
                    assert np.array_equal(stepper.root[path], td.get(path).numpy()), path
            else:
                stepper.go_on()
        assert ended > 3


def test_an_agent_that_is_done_ends_no_episode_of_others() -> None:
    class Team(CountingEnv):
        def __init__(self) -> None:
            super().__init__(limit=3, batch_size=[1])
            agent = Composite(done=Categorical(2, [1, 1], dtype=torch.bool), shape=[1])
            self.full_done_spec = self.full_done_spec.clone().set("agent", agent)

        def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
            fresh: TensorDictBase = super()._reset(tensordict)
            return fresh.set(("agent", "done"), torch.zeros(1, 1, dtype=torch.bool))

        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            following: TensorDictBase = super()._step(tensordict)
            return following.set(("agent", "done"), torch.ones(1, 1, dtype=torch.bool))

    with Team() as env:
        stepper = Stepper(env)
        stepper.reset()
        ended = []
        for _ in range(3):
            stepper.root["action",][...] = 1
            stepper.step()
            ended.append(bool(np.logical_or(*stepper.ends()).any()))
            stepper.go_on(everything=True)
        assert ended == [False, False, True]


def test_the_env_may_be_used_in_between() -> None:
    with GymEnv("CartPole-v1") as env:
        stepper = Stepper(env)
        stepper.reset()
        env.rollout(3)
        stepper.reset()
        stepper.root["action",][:] = [0, 1]
        stepper.step()
        assert stepper.rewards == 1


def test_done_without_a_reason_is_terminated() -> None:
    with CountingEnv(limit=2) as env:
        stepper = Stepper(env)
        stepper.reset()
        ended = []
        for _ in range(2):
            stepper.root["action",][...] = 1
            stepper.step()
            ended.append(tuple(map(bool, stepper.ends())))
            stepper.go_on()
        assert ended == [(False, False), (True, False)]


def test_the_order_is_checked() -> None:
    with GymEnv("CartPole-v1") as env, pytest.raises(EnvError, match="no episode has started"):
        Stepper(env).step()
    with (
        SerialEnv(2, lambda: GymEnv("CartPole-v1")) as batch,
        pytest.raises(EnvError, match="the other envs have not been reset yet"),
    ):
        Stepper(batch).reset(np.array([True, False]))


def test_several_rewards_are_refused() -> None:
    env = CountingEnv()
    env.full_reward_spec = Composite(reward=Unbounded(1), bonus=Unbounded(1))
    with pytest.raises(ConfigError, match=r"the env's reward is .*bonus.*expected one number"):
        Stepper(env)

"""Workers, and this process as one of them."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from tests.batch.faults import Faulty, makers
from tests.batch.test_parallel_env import BatchContract

HERE = {
    "build": r"env 1 \(this process\) in build",
    "reset": r"env 1 \(this process, seed 3316746426\) in reset before step 0",
    "step": r"env 1 \(this process, seed 3316746426\) in step 3",
    "close": r"env 1 \(this process, seed 3316746426\) in close",
}


def transformed() -> Env:
    return TransformedEnv(CountingEnv(4), Compose(StepCounter(max_steps=3), RewardSum()))


class TestLocalWorker(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(3, transformed, num_workers=2, local_worker=True)


class TestLocalWorkerOfBatches(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(3, lambda: SerialEnv(2, CountingEnv), num_workers=3, local_worker=True)


class TestLocalWorkerThatLasts(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(3, transformed, num_workers=2, local_worker=True, on_worker_death="restart")


def live(env: Env) -> None:
    env.set_seed(10)
    env.rollout(10)
    env.close()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("phase", HERE)
def test_an_env_that_fails_here_is_named(phase: str) -> None:
    failing: list[Any] = makers("raises", phase, at=3 if phase == "step" else 0)[::-1]
    env = ParallelEnv(4, failing, num_workers=2, local_worker=True)
    expected = rf"^{HERE[phase]}: ValueError: the first line and the second in \S*tests/batch/faults.py, line \d+$"
    with pytest.raises(EnvError) as caught:
        live(env)
    assert re.search(expected, str(caught.value)), caught.value
    assert isinstance(caught.value.__cause__, ValueError)
    assert env.is_closed


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_that_dies_takes_the_envs_here_along() -> None:
    closed = []

    class Closing(CountingEnv):
        def _close(self) -> None:
            closed.append(os.getpid())

    make: list[Any] = [Closing, lambda: Faulty("is killed", "step", at=3)]
    env = ParallelEnv(2, make, num_workers=2, local_worker=True)
    env.set_seed(10)
    with pytest.raises(EnvError, match=r"^env 1 \(worker 0, seed 3316746426\) in step 3: the worker was killed"):
        env.rollout(10)
    assert env.is_closed
    assert closed == [os.getpid()]


def test_a_worker_that_dies_is_replaced() -> None:
    make: list[Any] = [CountingEnv, lambda: Faulty("is killed", "step", at=3)]
    with ParallelEnv(2, make, num_workers=2, local_worker=True, on_worker_death="restart") as env:
        data = env.rollout(5, break_when_any_done=False)
        assert len(env.restarts) == 1
    assert data["next", "restarted"].flatten(1).tolist() == [[False] * 5, [False] * 3 + [True, False]]
    assert data["next", "observation"][0].flatten().tolist() == [1, 2, 3, 4, 5]


def test_a_ctrl_c_is_not_lost_where_an_env_fails_to_close() -> None:
    def interrupted() -> None:
        with ParallelEnv(4, makers("raises", "close")[::-1], num_workers=2, local_worker=True) as env:
            env.rollout(2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_an_env_that_fails_at_a_word_is_told_with_it() -> None:
    class Forgetful(CountingEnv):
        def load_state_dict(self, state_dict: Any) -> None:
            raise ValueError("no such state")

    env = ParallelEnv(2, Forgetful, num_workers=2, local_worker=True)
    env.rollout(3)
    with pytest.raises(EnvError, match=r"^env 0 \(this process\) in load: ValueError: no such state"):
        env.load_state_dict(env.state_dict())
    assert env.is_closed


@pytest.mark.parametrize("local", [False, True])
def test_what_a_step_raises_after_a_question_is_an_error_of_the_step(local: bool) -> None:
    class Careless(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            raise AttributeError("no such thing")

    env = ParallelEnv(2, Careless, num_workers=2, local_worker=local)
    td = env.reset()
    assert list(env.limit)
    with pytest.raises(EnvError, match="in step 0: AttributeError: no such thing"):
        env.rand_step(td)


def test_questions_are_answered_from_both_sides() -> None:
    class Asked(CountingEnv):
        def where(self, place: int) -> int:
            if place < 0:
                raise ValueError("no such place")
            return os.getpid() + place

    with ParallelEnv(3, Asked, num_workers=2, local_worker=True) as env:
        env.start()
        here, *there = env.where(0)
        assert here == os.getpid()
        assert there[0] == there[1] != here
        with pytest.raises(
            EnvError, match=r"^env 0 \(this process\) in call: ValueError: no such place in \S+, line \d+$"
        ):
            env.where(-1)
        with pytest.raises(AttributeError, match=r"^env 0 \(this process\) in get: .*no_such"):
            list(env.no_such)
        assert env.rollout(2).shape == (3, 2)  # and all is well


def test_what_is_done_before_the_answer_is_taken_runs_beside_the_workers() -> None:
    with (
        ParallelEnv(4, transformed, num_workers=2, local_worker=True) as mixed,
        SerialEnv(4, transformed) as serial,
    ):
        td, expected = mixed.reset(), serial.reset()
        for _ in range(5):
            action = serial.rand_action(expected)["action"]
            mixed.async_step_send(td.set("action", action))
            td = mixed.async_step_recv()
            expected = serial.step(expected)
            assert (td["next"] == expected["next"]).all()
            td, expected = (env.maybe_reset(env.step_mdp(one)) for env, one in ((mixed, td), (serial, expected)))


def test_a_ctrl_c_here_leaves_the_workers_alive() -> None:
    class Interrupted(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            if self.steps_made == 3:
                self.steps_made += 1
                raise KeyboardInterrupt
            return super()._step(tensordict)

    with ParallelEnv(4, [Interrupted, *[CountingEnv] * 3], num_workers=2, local_worker=True) as env:
        policy = torch.ones(4, *env.action_spec.shape[1:], dtype=env.action_spec.dtype)
        with pytest.raises(KeyboardInterrupt):
            env.rollout(10, lambda td: td.set("action", policy), break_when_any_done=False)
        assert not env.is_closed
        assert env.rollout(3, break_when_any_done=False).shape == (4, 3)


def test_there_must_be_another_worker() -> None:
    for envs, workers, few in ((1, 2, "num_envs"), (2, 1, "num_workers")):
        with pytest.raises(ConfigError, match=rf"^local_worker: it needs a second worker, found {few}=1\. Use {few}=2"):
            ParallelEnv(envs, CountingEnv, num_workers=workers, local_worker=True)

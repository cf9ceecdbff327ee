"""Steps of EnvPool past its own Python: they are those that its front door makes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("envpool", reason="envpool is not installed (extra envpool)")

import envpool

from envcli.backends.envpool_calls import EnvpoolCalls


def made(task: str) -> Any:  # Any: each task has a class of its own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium's, about bounds that EnvPool announces in doubles
        env = envpool.make_gymnasium(task, num_envs=4, seed=[3, 5, 7, 11])
        _ = env.observation_space, env.action_space
    env.reset()
    return env


@pytest.mark.parametrize(
    ("task", "straight"),
    [
        ("CartPole-v1", True),
        ("Pendulum-v1", True),
        ("Pong-v5", True),
        ("CartpoleBalance-v1", False),  # several observations
    ],
)
def test_they_are_those_of_the_front_door(task: str, straight: bool) -> None:
    bare, env = made(task), made(task)
    calls = EnvpoolCalls(env)
    rng = np.random.default_rng(0)
    space = bare.action_space
    for step in range(30):
        numbers = [space.sample() if space.dtype.kind == "f" else rng.integers(space.n) for _ in range(4)]
        actions = np.array(numbers, space.dtype)
        few = None if step % 3 else np.array([0, 3])
        actions = actions if few is None else actions[few]
        bare.send(actions, few)
        calls.send(actions, few)
        expected, found = bare.recv(), calls.recv()
        for theirs, ours in zip(expected[:4], found[:4], strict=True):
            np.testing.assert_equal(ours, theirs)
    assert calls.straight == straight
    for one in (bare, env):
        one.close()


def test_the_first_step_has_its_actions_looked_at() -> None:
    env = made("CartPole-v1")
    with pytest.raises(RuntimeError, match="Expected shape"):
        EnvpoolCalls(env).send(np.zeros((4, 2), np.int32))
    env.close()

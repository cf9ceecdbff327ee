"""Several envs where a constructor of one is asked for them."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from typing import Any

import pytest
import torch

from envcli.backends.dm_control import DMControlEnv
from envcli.backends.gym import GymEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.errors import ConfigError
from envcli.make import make_env

PENDULUM = partial(GymEnv, "Pendulum-v1", g=5.0)


@pytest.mark.parametrize("make", [PENDULUM, partial(DMControlEnv, "cartpole", "swingup")])
@pytest.mark.parametrize(("name", "kind"), [("num_workers", ParallelEnv), ("num_envs", SerialEnv)])
def test_it_is_the_batch_of_such_envs(name: str, kind: type[Any], make: Any) -> None:
    with make(frame_skip=2, **{name: 2}) as env, SerialEnv(2, partial(make, frame_skip=2)) as batch:
        assert type(env) is kind
        assert not env.is_closed
        assert list(env.frame_skip) == [2, 2]
        torch.manual_seed(0)
        assert env.set_seed(3) == batch.set_seed(3)
        made = env.rollout(5)
        torch.manual_seed(0)
        assert (made == batch.rollout(5)).all()


def test_both_are_a_batch_of_batches() -> None:
    with PENDULUM(num_envs=2, num_workers=3) as env:
        assert env.batch_size == torch.Size([3, 2])


@pytest.mark.parametrize("said", [{}, {"num_envs": 0}, {"num_workers": 1}, {"num_workers": 0, "num_envs": 0}])
def test_one_is_the_env_itself(said: dict[str, int]) -> None:
    with PENDULUM(**said) as env:
        assert type(env) is GymEnv
        for other in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
            assert type(other) is GymEnv
            assert other.g == 5.0


@pytest.mark.parametrize("said", [{"num_envs": -1}, {"num_envs": 2.0}, {"num_workers": True}])
def test_what_is_no_count_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"^{next(iter(said))}: found .*, expected a whole number of at least 0"):
        PENDULUM(**said)


def test_a_yaml_says_it_otherwise() -> None:
    with pytest.raises(ConfigError, match=r"num_envs\. It is one env\. For several, type: parallel=processes"):
        make_env("env=pendulum", "backend.options.num_envs=2")
    with pytest.raises(ConfigError, match=r"no key 'backend\.num_workers'"):
        make_env("env=pendulum", "backend.num_workers=2")

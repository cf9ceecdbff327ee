"""Envs that share what is to be shared."""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from envcli.batch.env_creator import EnvCreator, env_creator
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import EnvError
from envcli.memory.shared_lock import SharedLock
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.vec_norm import VecNorm


def normalised(decay: float = 1.0) -> Env:
    return TransformedEnv(CountingEnv(), VecNorm(["observation"], decay=decay))


def in_serial(make: Callable[..., Env]) -> Env:
    return SerialEnv(3, make)


def in_parallel(make: Callable[..., Env]) -> Env:
    return ParallelEnv(3, make, num_workers=3)


def by_spawn(make: Callable[..., Env]) -> Env:
    return ParallelEnv(3, make, num_workers=1, start_method="spawn")


def by_fork(make: Callable[..., Env]) -> Env:
    return ParallelEnv(3, make, num_workers=2, start_method="fork")


def sums(make: EnvCreator) -> Any:
    return make.state_dict()["_extra_state"]["td"]


@pytest.mark.parametrize("batch", [in_serial, in_parallel, by_spawn, by_fork])
def test_every_reset_and_every_step_of_every_env_counts(batch: Callable[..., Env]) -> None:
    make = EnvCreator(normalised)
    assert sums(make)["observation_count"].item() == 0, "building one counts nothing"
    with batch(make) as env:
        env.rollout(5)
        assert sums(make)["observation_count"].item() == 3 * (1 + 5)
        assert sums(make)["observation_sum"].item() == 3 * (0 + 1 + 2 + 3 + 4 + 5)
        assert sums(make)["observation_ssq"].item() == 3 * (0 + 1 + 4 + 9 + 16 + 25)
        sums(make)["observation_count"].fill_(0.0)
        env.reset()
        assert sums(make)["observation_count"].item() == 3, "what is changed outside is changed in the workers"


def test_arguments_of_the_maker_may_be_given_as_they_are() -> None:
    assert EnvCreator(CountingEnv, limit=3)().rollout(9).shape == (3,)
    both = EnvCreator(CountingEnv, {"limit": 2}, limit=3)
    assert both().rollout(9).shape == (2,), "as TorchRL has it"
    assert both(limit=4).rollout(9).shape == (4,)


def test_no_update_is_lost_where_many_write_at_once() -> None:
    make = EnvCreator(normalised)
    with ParallelEnv(6, make, num_workers=3) as env:
        env.rollout(500, break_when_any_done=False)
    resets = 6 * 100  # episodes are 5 steps long
    assert sums(make)["observation_count"].item() == 6 * 500 + resets


def test_each_env_has_its_own_without_it() -> None:
    with SerialEnv(2, normalised) as env:
        env.rollout(3)
        assert [td["_extra_state"]["td"]["observation_count"].item() for td in env.state_dict().values()] == [4, 4]


def test_arguments_are_passed_on() -> None:
    make = EnvCreator(normalised, {"decay": 0.5})
    with make() as env:
        assert env.transform.decay == 0.5
    with make(decay=0.25) as env:
        assert env.transform.decay == 0.25


def test_nothing_is_shared_if_so_said() -> None:
    make = EnvCreator(normalised, share_memory=False)
    with SerialEnv(2, make) as env:
        env.rollout(3)
    assert sums(make)["observation_count"].item() == 0


def test_what_was_learnt_is_saved_and_loaded() -> None:
    make = EnvCreator(normalised)
    with SerialEnv(2, make) as env:
        env.rollout(5)
    other = EnvCreator(normalised)
    other.load_state_dict(make.state_dict())
    assert torch.equal(sums(other)["observation_sum"], sums(make)["observation_sum"])
    with ParallelEnv(2, other, num_workers=2) as env:
        env.reset()
    assert sums(other)["observation_count"].item() == sums(make)["observation_count"].item() + 2


def test_a_frozen_one_learns_nothing() -> None:
    make = EnvCreator(lambda: TransformedEnv(CountingEnv(), VecNorm(["observation"]).freeze()))
    with ParallelEnv(2, make, num_workers=2) as env:
        env.rollout(5)
    assert sums(make)["observation_count"].item() == 0


def test_several_norms_keep_apart() -> None:
    def make_env() -> Env:
        return TransformedEnv(
            CountingEnv(), Compose(VecNorm(["observation"], decay=1.0), VecNorm(["start"], decay=1.0))
        )

    make = EnvCreator(make_env)
    with ParallelEnv(2, make, num_workers=2) as env:
        env.rollout(2)
    state = make.state_dict()
    assert state["transforms.0._extra_state"]["td"]["observation_sum"].item() == 2 * (0 + 1 + 2)
    assert "start_sum" in state["transforms.1._extra_state"]["td"]


def test_an_env_of_another_kind_is_refused() -> None:
    kinds = iter([normalised, CountingEnv])
    make = EnvCreator(lambda: next(kinds)())
    with pytest.raises(EnvError, match="found 0 VecNorms, expected 1 as in the first env"):
        make()


def test_the_lock_is_let_go_of_when_its_holder_is_killed() -> None:
    lock = SharedLock()
    program = (
        "import pickle, sys; lock = pickle.loads(bytes.fromhex(sys.argv[1])); lock.__enter__(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, pickle.dumps(lock).hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    fd = os.open(lock.file, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)


def test_an_exception_inside_leaves_the_lock_free() -> None:
    lock = SharedLock()
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    with lock:
        pass


def test_a_variant_has_other_arguments_and_sums_of_its_own() -> None:
    def make(limit: int, decay: float = 1.0) -> Env:
        return TransformedEnv(CountingEnv(limit), VecNorm(["observation"], decay=decay))

    first = EnvCreator(make, limit=3)
    other = first.make_variant(limit=5)
    assert other.create_env_kwargs == {"limit": 5}
    with SerialEnv(2, other) as env:
        assert env.rollout(9).shape == (2, 5)
    assert other.state_dict()["_extra_state"]["td"]["observation_count"].item() == 12
    assert first.state_dict()["_extra_state"]["td"]["observation_count"].item() == 0
    other.load_state_dict({"unknown": torch.zeros(1)}, strict=False)


def test_a_function_is_made_one_where_it_is_written() -> None:
    @env_creator
    def make() -> Env:
        return TransformedEnv(CountingEnv(9), VecNorm(["observation"], decay=1.0))

    assert isinstance(make, EnvCreator)
    with SerialEnv(2, make) as env:
        env.rollout(3)
    assert make.state_dict()["_extra_state"]["td"]["observation_count"].item() == 8

"""Forks: a child of the main process does not use its workers, and one of a worker's is none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.this_process import this_process
from envcli.testing.toys import CountingEnv
from tests.batch.faults import descendants, is_alive


def in_child(act: Callable[[], Any]) -> str:
    """What ``act`` returns in a fork of this process, as text."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = str(act())
        except BaseException as error:
            found = f"{type(error).__name__}: {error}"
        os.write(theirs, found.encode())
        os._exit(0)
    os.close(theirs)
    with open(ours, encoding="utf-8") as answer:
        found = answer.read()
    os.waitpid(pid, 0)
    return found


def test_a_fork_knows_that_it_is_another_process() -> None:
    assert this_process() == os.getpid()
    assert in_child(lambda: this_process() == os.getpid()) == "True"


ENTRIES: dict[str, Callable[[ParallelEnv, Any], Any]] = {
    "step": lambda env, step: env.step(step),
    "reset": lambda env, step: env.reset(),
    "reset in part": lambda env, step: env.reset(step.set("_reset", torch.tensor([[True], [False], [False]]))),
    "rollout": lambda env, step: env.rollout(3),
    "send": lambda env, step: env.async_step_send(step),
    "set_seed": lambda env, step: env.set_seed(0),
    "get": lambda env, step: list(env.steps_made),
    "call": lambda env, step: env.state_dict(),
    "train": lambda env, step: env.eval(),
}


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("local_worker", [False, True])
def test_a_fork_is_told_whose_the_workers_are(local_worker: bool) -> None:
    with ParallelEnv(3, CountingEnv, num_workers=2, local_worker=local_worker) as env:
        step = env.rand_action(env.reset())
        for name, use in ENTRIES.items():
            told = in_child(lambda use=use: use(env, step.clone()))
            assert told.startswith(f"EnvError: this batch was started by process {os.getpid()}, and this one"), name
        assert env.step(step)["next", "observation"].flatten().tolist() == [1, 1, 1]


@pytest.mark.usefixtures("nothing_left")
def test_a_fork_that_closes_its_copy_can_start_workers_of_its_own() -> None:
    def anew() -> Any:
        env.close()
        env.close()
        with env:
            return env.rollout(4)["next", "observation"][0].flatten().tolist()

    with ParallelEnv(2, CountingEnv, num_workers=2) as env:
        step = env.rand_step(env.reset())
        assert in_child(anew) == "[1.0, 2.0, 3.0, 4.0]"
        assert env.rand_step(env.step_mdp(step))["next", "observation"].flatten().tolist() == [2, 2]


@pytest.mark.usefixtures("nothing_left")
def test_a_fork_while_a_step_is_under_way_does_not_receive_it() -> None:
    with ParallelEnv(2, CountingEnv, num_workers=2) as env:
        env.async_step_send(env.rand_action(env.reset()))
        assert in_child(env.async_step_recv).startswith("EnvError: this batch was started by process")
        assert env.async_step_recv()["next", "observation"].flatten().tolist() == [1, 1]


class Forking(CountingEnv):
    """Forks in ``phase``; the child leaves ``how``, and would be heard of if it came any farther."""

    def __init__(self, phase: str, how: str, folder: Path) -> None:
        super().__init__(limit=4)
        self.phase, self.how, self.folder = phase, how, folder
        self._fork_in("build")

    def _fork_in(self, phase: str) -> None:
        if phase != self.phase or os.fork():
            return
        (self.folder / str(os.getpid())).touch()
        if self.how == "exits":
            sys.exit(0)
        if self.how == "raises":
            raise ValueError("in the child")

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self._fork_in("reset")
        return super()._reset(tensordict, **options)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self._fork_in("step")
        return super()._step(tensordict)

    def spread(self) -> int:
        """Forks in a call."""
        self._fork_in("call")
        return self.steps_made

    def _close(self) -> None:
        self._fork_in("close")


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("how", ["exits", "raises", "returns"])
@pytest.mark.parametrize("phase", ["build", "reset", "step", "call", "close"])
def test_a_child_that_an_env_forks_is_no_second_worker(phase: str, how: str, tmp_path: Path) -> None:
    before = descendants()
    with ParallelEnv(2, lambda: Forking(phase, how, tmp_path), num_workers=2) as env:
        rows = env.rollout(8, break_when_any_done=False)
        assert rows["next", "observation"][1].flatten().tolist() == [1, 2, 3, 4] * 2
        assert env.spread() == [8, 8]
        assert env.rollout(2).shape == (2, 2)
    until, children, left = time.monotonic() + 10, set[int](), [0]
    while (len(children) < 2 or left) and time.monotonic() < until:  # one that was born last has yet to say so
        time.sleep(0.02)
        children = {int(name) for name in os.listdir(tmp_path)}
        left = [pid for pid in children if is_alive(pid)]
    assert len(children) >= 2
    assert not left
    assert set(descendants()) <= set(before)


@pytest.mark.usefixtures("nothing_left")
def test_a_child_that_raises_says_so_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ParallelEnv(1, lambda: Forking("reset", "raises", tmp_path)) as env:
        env.reset()
        until, said = time.monotonic() + 10, ""
        while "in the child" not in said and time.monotonic() < until:
            time.sleep(0.02)
            said += capfd.readouterr().err
        assert "ValueError: in the child" in said
        assert env.rollout(3).shape == (1, 3)

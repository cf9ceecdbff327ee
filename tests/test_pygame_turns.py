"""pygame_turn: frames of several threads are as if there were one."""

from __future__ import annotations

import os
import threading
from functools import partial

import pytest
import torch

from envcli import AsyncEnvPool, GymEnv, SerialEnv
from envcli.envs.env import Env
from envcli.pygame_turns import pygame_turn


def test_pendulums_drawn_in_threads_are_those_drawn_one_by_one() -> None:
    make, frames = partial(GymEnv, "Pendulum-v1", from_pixels=True), []
    for kind in (AsyncEnvPool, partial(SerialEnv, 4)):
        env: Env = kind([make] * 4)
        with env:
            env.set_seed(3)
            torch.manual_seed(0)
            frames.append(env.rollout(40)["next", "pixels"])
    assert torch.equal(*frames)


def test_one_thread_at_a_time() -> None:
    pytest.importorskip("pygame", reason="pygame is not installed (extra pygame)")
    came = threading.Event()

    def draw() -> None:
        with pygame_turn():
            came.set()

    with pygame_turn(), pygame_turn():  # an env that draws another one
        other = threading.Thread(target=draw)
        other.start()
        assert not came.wait(0.1)
    assert came.wait(10)
    other.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    pytest.importorskip("pygame", reason="pygame is not installed (extra pygame)")
    holds, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with pygame_turn():
            holds.set()
            may_go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert holds.wait(10)
    child = os.fork()
    if not child:
        with pygame_turn():
            os._exit(7)
    may_go.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

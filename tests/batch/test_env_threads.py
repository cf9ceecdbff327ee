"""EnvThreads: one call at a time of each env."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from envcli.batch.env_threads import EnvThreads
from envcli.batch.serial_env import SerialEnv
from envcli.testing.toys import CountingEnv


class Waiting(CountingEnv):
    """Answers when it may."""

    may_go = threading.Event()

    def wait(self, number: int = 0) -> int:
        assert self.may_go.wait(10)
        return number

    def fail(self, number: int) -> None:
        raise ValueError(f"number {number}")


@pytest.fixture(params=[True, False], ids=["together", "in turn"])
def envs(request: pytest.FixtureRequest) -> Iterator[EnvThreads]:
    found = EnvThreads([SerialEnv(1, Waiting) for _ in range(3)], kill=lambda batch: False)
    Waiting.may_go.set()
    try:
        found.start(together=request.param)
        yield found
    finally:
        Waiting.may_go.set()
        found.close(5)


def test_each_gets_what_is_its_own(envs: EnvThreads) -> None:
    assert envs.each("wait", [[1], [2], [3]]) == [[1], [2], [3]]


def test_the_first_error_is_raised_once_all_are_done(envs: EnvThreads) -> None:
    with pytest.raises(ValueError, match="number"):
        envs.each("fail", [[1], [2], [3]])
    assert envs.each("wait") == [[0], [0], [0]]


def test_those_of_a_kind_of_call_are_received(envs: EnvThreads) -> None:
    envs.send("wait", {0: [1], 2: [3]})
    envs.send("reset", {1: []})
    assert envs.receive("wait", 2, None, None, None) == {0: [1], 2: [3]}
    assert envs.receive("reset", 1, None, None, None)[1].batch_size == (1,)


def test_what_a_ctrl_c_has_interrupted_is_forgotten(envs: EnvThreads) -> None:
    Waiting.may_go.clear()
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        envs.each("wait", [[1], [2], [3]])
    threading.Timer(0.1, Waiting.may_go.set).start()
    assert envs.each("wait", [[4], [5], [6]]) == [[4], [5], [6]]


def test_a_timeout_loses_nothing(envs: EnvThreads) -> None:
    Waiting.may_go.clear()
    envs.send("wait", {i: [i] for i in range(3)})
    began = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"wait: 0 of 2 envs were ready in 0\.1 s"):
        envs.receive("wait", 2, None, None, 0.1)
    assert time.perf_counter() - began >= 0.1
    Waiting.may_go.set()
    assert envs.receive("wait", 3, None, None, None) == {i: [i] for i in range(3)}

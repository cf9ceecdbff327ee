from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from envcli.terminal.termination import Terminated, cleared

BOTH = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = [signal.getsignal(one) for one in BOTH]
    for one in BOTH:
        signal.signal(one, signal.SIG_DFL)
    yield
    for one, handler in zip(BOTH, before, strict=True):
        signal.signal(one, handler)


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_is_raised_and_no_other_disturbs_the_clearing(number: signal.Signals, code: int) -> None:
    order: list[str] = []

    def clear() -> None:
        send(*BOTH)
        order.append("cleared")

    def work() -> None:
        with cleared(clear):
            send(number)
            order.append("went on")

    with pytest.raises(Terminated, match=f"ended by {number.name}") as caught:
        work()
    assert (order, caught.value.code) == (["cleared"], code)
    assert [signal.getsignal(one) for one in BOTH] == [signal.SIG_IGN] * 2, "it ends already"


def test_one_that_is_swallowed_is_raised_again() -> None:
    class Thing:
        pass

    cleaned: list[bool] = []

    def work() -> None:
        with cleared(lambda: cleaned.append(True)):
            thing = Thing()
            watch = weakref.ref(thing, lambda _: send(signal.SIGTERM))
            del thing
            assert watch() is None
            time.sleep(20)
            pytest.fail("nobody heard of it")

    with pytest.raises(Terminated):
        work()
    assert cleaned == [True]


def test_one_that_is_swallowed_at_last_is_raised_at_the_end() -> None:
    def work() -> None:
        with cleared(lambda: None), contextlib.suppress(Terminated):
            send(signal.SIGTERM)

    with pytest.raises(Terminated):
        work()


def test_without_a_signal_an_error_goes_on_and_all_is_as_before() -> None:
    cleaned: list[bool] = []

    def work() -> None:
        with cleared(lambda: cleaned.append(True)):
            raise ValueError("by itself")

    hook = sys.unraisablehook
    with pytest.raises(ValueError, match="by itself"):
        work()
    assert cleaned == [True]
    assert sys.unraisablehook is hook
    assert [signal.getsignal(one) for one in BOTH] == [signal.SIG_DFL] * 2


def test_who_listens_or_ignores_is_left_alone() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with cleared(lambda: None):
        send(*BOTH)
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_in_a_thread_nothing_is_heard() -> None:
    def use() -> None:
        with cleared(lambda: None):
            found.append(signal.getsignal(signal.SIGTERM))

    found: list[object] = []
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]

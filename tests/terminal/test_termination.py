"""What is half done is cleared away, whatever ends it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from envcli.terminal.termination import cleared
from tests.conftest import ran

BOTH = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = [signal.getsignal(one) for one in BOTH]
    for one in BOTH:
        signal.signal(one, signal.SIG_DFL)
    yield
    for one, handler in zip(BOTH, before, strict=True):
        signal.signal(one, handler)


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_ends_the_process_after_the_clearing(number: signal.Signals, tmp_path: Path) -> None:
    program = f"""
import os, time, weakref
from envcli.terminal.termination import cleared

class Thing: pass

with cleared(lambda: open("cleared", "x").close()):
    thing = Thing()
    watch = weakref.ref(thing, lambda _: os.kill(os.getpid(), {int(number)}))  # where an exception would be swallowed
    del thing
    time.sleep(20)
    print("went on")
"""
    done = ran([sys.executable, "-c", program], tmp_path)
    assert (done.code, done.out, done.err) == (-number, "", "")
    assert (tmp_path / "cleared").exists()


def test_without_a_signal_an_error_goes_on_and_all_is_as_before() -> None:
    cleaned: list[bool] = []

    def work() -> None:
        with cleared(lambda: cleaned.append(True)):
            raise ValueError("by itself")

    with pytest.raises(ValueError, match="by itself"):
        work()
    assert cleaned == [True]
    assert [signal.getsignal(one) for one in BOTH] == [signal.SIG_DFL] * 2


def test_who_listens_or_ignores_is_left_alone() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with cleared(lambda: None):
        for number in BOTH:
            os.kill(os.getpid(), number)
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

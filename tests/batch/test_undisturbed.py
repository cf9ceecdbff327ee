"""What a Ctrl-C must not cut in half."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from envcli.batch.undisturbed import is_leaving, undisturbed

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread alone"
)


@pytest.fixture(autouse=True)
def _usual() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_ctrl_c_waits_until_the_end_of_the_block() -> None:
    done = []

    def block() -> None:
        with undisturbed():
            for i in range(3):
                signal.raise_signal(signal.SIGINT)
                done.append(i)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_one_nothing_comes() -> None:
    with undisturbed():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_comes_once_after_blocks_within_each_other() -> None:
    caught = []
    signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    with undisturbed():
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
        assert caught == []
    assert caught == [signal.SIGINT]


def test_who_ignores_it_goes_on_doing_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with undisturbed():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_thread_leaves_the_handler_alone() -> None:
    found = []

    def block() -> None:
        with undisturbed():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=block)
    thread.start()
    thread.join(5)
    assert found == [signal.default_int_handler]


@pytest.mark.parametrize(
    ("error", "leaves"), [(KeyboardInterrupt(), True), (SystemExit(0), True), (ValueError("x"), False)]
)
def test_who_tidies_up_knows_whether_somebody_leaves(error: BaseException, leaves: bool) -> None:
    found = []

    def goes_wrong() -> None:
        try:
            raise error
        finally:
            found.append(is_leaving())

    with pytest.raises(type(error)):
        goes_wrong()
    assert found == [leaves]
    assert not is_leaving()

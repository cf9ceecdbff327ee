"""SharedLock: one process at a time, whatever becomes of it."""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import threading
from collections.abc import Callable

import pytest

from envcli.memory.shared_lock import SharedLock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked")


def is_free(lock: SharedLock) -> bool:
    """Could somebody else have it now?"""
    fd = os.open(lock.file, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def in_a_child(act: Callable[[], bool]) -> bool:
    """What ``act`` says in a forked process."""
    child = os.fork()
    if not child:
        try:
            os._exit(int(act()))
        finally:
            os._exit(9)
    return bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1)


def test_it_is_held_inside_the_block_and_free_after_it() -> None:
    lock = SharedLock()
    for _ in range(2):
        assert is_free(lock)
        with lock:
            assert not is_free(lock)
    assert is_free(lock)


def test_an_error_lets_go_of_it() -> None:
    lock = SharedLock()
    with pytest.raises(ValueError, match="x"), lock:
        raise ValueError("x")
    assert is_free(lock)


def test_pickled_it_is_the_same_lock() -> None:
    lock = SharedLock()
    other: SharedLock = pickle.loads(pickle.dumps(lock))
    with other:
        assert not is_free(lock)
    with lock:
        assert not is_free(other)
    assert is_free(SharedLock()), "any other is another"


def test_parent_and_forked_child_wait_for_each_other() -> None:
    lock = SharedLock()
    with lock:
        pass  # so that it is open when the child is born
    holds, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with lock:
            os.write(holds[1], b"x")
            os.read(go[0], 1)
        os._exit(0)

    def enter() -> None:
        with lock:
            pass

    os.read(holds[0], 1)
    waiting = threading.Thread(target=enter)
    try:
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    finally:
        os.write(go[1], b"x")
        os.waitpid(child, 0)
    waiting.join(5)
    assert not waiting.is_alive()
    for fd in (*holds, *go):
        os.close(fd)


def test_a_child_that_goes_through_it_does_not_open_it_for_others() -> None:
    lock = SharedLock()
    other: SharedLock = pickle.loads(pickle.dumps(lock))
    with lock:
        assert in_a_child(lambda: not is_free(other))
        assert not is_free(lock)


def test_who_dies_with_it_does_not_take_it_along() -> None:
    lock = SharedLock()

    def dies() -> bool:
        lock.__enter__()
        return not is_free(lock)

    assert in_a_child(dies)
    assert is_free(lock)


def test_it_is_gone_with_its_object() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    lock = SharedLock()
    with lock:
        pass
    del lock
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_child_of_the_dead_does_not_keep_it() -> None:
    lock = SharedLock()
    told, wake = os.pipe()
    heard, lives = os.pipe()
    holder = os.fork()
    if not holder:
        with lock:
            pass  # it is opened
        if not os.fork():
            os.close(wake)
            os.write(lives, b"!")
            os.read(told, 1)
            os._exit(0)
        lock.__enter__()
        os._exit(0)
    os.waitpid(holder, 0)
    assert os.read(heard, 1) == b"!"
    with open(lock.file, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for end in (wake, told, heard, lives):
        os.close(end)

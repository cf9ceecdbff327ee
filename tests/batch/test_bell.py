"""Wakes another process."""

from __future__ import annotations

import os
import threading

import pytest

from envcli.batch import bell
from envcli.batch.bell import Bell


@pytest.fixture(params=["eventfd", "pipe"])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bell:
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd")
        monkeypatch.setattr(bell, "_ONE", b"!")
        monkeypatch.setattr(bell, "_SIZE", bell._MANY)
    return Bell()


def test_who_waits_is_woken(made: Bell) -> None:
    waiting = threading.Thread(target=made.wait)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    made.ring()
    waiting.join(5)
    assert not waiting.is_alive()
    made.close()


def test_a_ring_is_not_lost_and_several_count_once(made: Bell) -> None:
    made.ring()
    made.ring()
    made.wait()
    os.set_blocking(made.listen_fd, False)
    with pytest.raises(BlockingIOError):
        made.wait()
    made.close()


def test_each_side_needs_only_its_own_end(made: Bell) -> None:
    ear, hand = Bell(listen=os.dup(made.listen_fd)), Bell(ring=os.dup(made.ring_fd))
    made.close()
    assert (ear.ring_fd, hand.listen_fd) == (-1, -1)
    os.set_blocking(ear.listen_fd, False)
    with pytest.raises(BlockingIOError):
        ear.wait()
    hand.ring()
    ear.wait()
    ear.close()
    hand.close()


def test_a_closed_bell_holds_no_file_descriptor_and_can_be_closed_again(made: Bell) -> None:
    fds = {made.listen_fd, made.ring_fd}
    made.close()
    made.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)

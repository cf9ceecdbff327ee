"""OpenGL contexts: nothing ends one in the middle of a frame."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from envcli.gl_contexts import ending_in_time, kept_current


class Owner:
    """Of a context."""

    def __init__(self) -> None:
        self.itself = self


def test_an_end_comes_with_its_owner() -> None:
    ended: list[str] = []
    ending_in_time(Owner(), ended.append, "one")
    gc.collect()
    assert ended == ["one"]


def test_nothing_is_collected_within_a_frame() -> None:
    gc.collect()
    gone = weakref.ref(Owner())
    with kept_current():
        assert not gc.isenabled()
        litter = [[] for _ in range(10_000)]
        assert gone() is not None
    assert gc.isenabled()
    del litter
    with pytest.raises(ValueError, match="drawn"), kept_current():
        raise ValueError("drawn")
    assert gc.isenabled()


def test_who_collects_by_hand_goes_on_so() -> None:
    gc.disable()
    try:
        with kept_current():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_frames_of_several_threads_each_stay_uncollected() -> None:
    one, two = kept_current(), kept_current()
    one.__enter__()
    thread = threading.Thread(target=two.__enter__)
    thread.start()
    thread.join()
    one.__exit__(None, None, None)
    assert not gc.isenabled()
    thread = threading.Thread(target=two.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    assert gc.isenabled()

"""Channel: what a worker and the main process say to each other."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from types import ModuleType

import pytest
import torch

from envcli.batch import channel
from envcli.batch.bell import Bell
from envcli.batch.channel import NOTE, NUMBERS, ORDER, STATE, STEP, WORKING, Channel, in_words
from envcli.errors import EnvError


def opened() -> tuple[Channel, Channel]:
    """The main process's end and the worker's, in one process."""
    numbers, call, answer = torch.zeros(NUMBERS, dtype=torch.int64), Bell(), Bell()
    here, there = Pipe()
    theirs = Bell(listen=os.dup(call.listen_fd)), Bell(ring=os.dup(answer.ring_fd))
    return Channel(numbers, call, answer, here), Channel(numbers, *theirs, there)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    both = opened()
    yield both
    for end in both:
        end.close()


def test_numbers_stand_at_both_ends(ends: tuple[Channel, Channel]) -> None:
    main, worker = ends
    main.numbers[ORDER] = STEP
    main.call.ring()
    worker.call.wait()
    worker.numbers[NOTE][1], worker.numbers[STATE] = 7, WORKING
    worker.answer.ring()
    main.answer.wait()
    assert (worker.numbers[ORDER], main.numbers[1], main.numbers[STATE]) == (STEP, 7, WORKING)


def test_no_two_numbers_share_a_place() -> None:
    names = ("ORDER", "START", "STOP", "ONWARD", "SOME", "TOGETHER", "STATE")
    places = [*range(NOTE.start, NOTE.stop), *(getattr(channel, name) for name in names)]
    assert len({*places}) == len(places)
    assert max(places) < NUMBERS


def test_words_arrive_in_order_functions_of_the_main_script_too(ends: tuple[Channel, Channel]) -> None:
    main, worker = ends
    more = 2
    for thing in (("build", [1, None]), lambda x: x + more):
        main.send(in_words(thing))
    assert worker.receive() == ("build", [1, None])
    assert worker.receive()(3) == 5


def test_functions_of_the_script_of_a_rank_arrive_too(
    ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that are spawned, as the ranks of a distributed training are, have the script under another name."""
    script = ModuleType("__mp_main__")
    exec("def maker(x):\n    return x + 1\nclass Mine:\n    of = maker", script.__dict__)
    monkeypatch.setitem(sys.modules, "__mp_main__", script)
    main, worker = ends
    main.send(in_words((script.maker, script.Mine)))  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, "__mp_main__")
    maker, mine = worker.receive()
    assert (maker(3), mine.of(4)) == (4, 5)


def test_what_cannot_be_pickled_is_refused_before_it_is_sent() -> None:
    with pytest.raises(EnvError, match=r"everything sent to a worker must be picklable: TypeError: .*lock"):
        in_words({"lock": threading.Lock()})


def test_who_listens_learns_that_the_other_side_is_gone(ends: tuple[Channel, Channel]) -> None:
    main, worker = ends
    worker.close()
    assert main.words.poll(5)
    with pytest.raises(EOFError):
        main.receive()


def test_closed_it_holds_no_file() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    both = opened()
    for end in both:
        end.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_nobody_wants_to_hear_is_read_away(ends: tuple[Channel, Channel]) -> None:
    main, worker = ends
    worker.send(bytes(100))
    main.drain()
    assert not main.words.poll()
    worker.close()
    main.drain()  # nor is the end of it waited for

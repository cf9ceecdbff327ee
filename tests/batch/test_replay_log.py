"""ReplayLog: what a new worker is told."""

from __future__ import annotations

from typing import Any

from envcli.batch.replay_log import ReplayLog, advanced
from envcli.seeding import seed_chain

ALL = ("build", "load", "set_seeds", "bind", "give", "adopt")


def shares(word: str) -> Any:
    return lambda envs: (word, [*envs])


def said(log: ReplayLog, **how: Any) -> list[tuple[str, tuple[Any, ...]]]:
    return list(log.words(range(2, 4), places=0, **how))


def test_words_are_repeated_in_the_order_of_a_start_with_the_share_of_the_new_worker() -> None:
    log = ReplayLog()
    for word in ("adopt", "give", "bind", "load", "build"):
        log.keep(word, shares(word))
    expected = [word for word in ALL if word != "set_seeds"]
    assert said(log) == [(word, (word, [2, 3])) for word in expected]


def test_of_each_kind_the_latest_is_said() -> None:
    log = ReplayLog()
    for time in ("first", "second"):
        log.keep("bind", shares(time))
    assert said(log) == [("bind", ("second", [2, 3]))]


def test_what_passes_is_not_repeated() -> None:
    log = ReplayLog()
    for word in ("get", "call", "close", "lose"):
        log.keep(word, shares(word))
    assert said(log) == []


def test_what_it_is_told_anyway_is_left_out() -> None:
    log = ReplayLog()
    for word in ("build", "bind"):
        log.keep(word, shares(word))
    assert [word for word, _ in said(log, but="bind")] == ["build"]


def test_its_seeds_are_others_and_follow_from_those_of_the_dead() -> None:
    log = ReplayLog()
    log.keep("set_seeds", lambda envs: ([10, None, 30, 40][envs.start : envs.stop],))
    assert list(log.words(range(0, 3), places=4)) == [
        ("set_seeds", ([seed_chain(10, 4)[-1], None, seed_chain(30, 4)[-1]],))
    ]
    assert advanced([10, None], 0) == [10, None]

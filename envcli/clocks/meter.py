"""Where the time of a process goes: clocks around functions, each counting what is its own alone."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

__all__ = ["Meter", "Reading"]

P = ParamSpec("P")
R = TypeVar("R")
Reading = dict[str, Any]  # Any: what JSON can hold

_OUTSIDE = 0  # the part of whoever calls from where nothing is timed
_TRIALS, _CALLS = 15, 200  # to find what a clock costs
_WORK = 100_000  # bytes that are moved between two calls meanwhile: a frame of Atari


class Meter:
    """Adds up the time that is spent in functions under the name of a part.

    A part has what passes between the beginning and the end of its functions, without what other timed functions take
    meanwhile; so the parts of one outermost call sum to the whole of it, exactly. What the clocks themselves cost is
    measured when the meter is made, by calls of a function that does nothing, and taken off in :meth:`reading`.

    Args:
        costs: nanoseconds that a timed call adds to its own part, and to that of its caller; None: as measured.
    """

    def __init__(self, costs: tuple[float, float] | None = None) -> None:
        self._places = {"": _OUTSIDE}
        self._spent, self._calls, self._callees = [0], [0], [0]
        self._now = [_OUTSIDE, 0]  # the part we are in, and the time that others have taken since it was entered
        self._spans: dict[str, list[tuple[int, int]]] = {}
        self._costs = _costs_of_a_call() if costs is None else costs

    def timed(self, part: str, function: Callable[P, R], spans: bool = False) -> Callable[P, R]:
        """``function``, its time added to ``part``; with ``spans`` each call's begin and end are kept too."""
        place, spent, calls, callees, now = self._place(part), self._spent, self._calls, self._callees, self._now
        kept = self._spans.setdefault(part, []) if spans else None
        clock = time.perf_counter_ns

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            caller, before = now
            now[0], now[1] = place, 0
            begin = clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = clock() - begin
                spent[place] += took - now[1]
                calls[place] += 1
                callees[caller] += 1
                now[0], now[1] = caller, before + took
                if kept is not None:
                    kept.append((begin, begin + took))

        return call

    def _place(self, part: str) -> int:
        if part not in self._places:
            self._places[part] = len(self._spent)
            for column in (self._spent, self._calls, self._callees):
                column.append(0)
        return self._places[part]

    def clear(self) -> None:
        """Begin anew."""
        for column in (self._spent, self._calls, self._callees):
            column[:] = [0] * len(column)
        self._now[:] = _OUTSIDE, 0  # a forked process was inside of something that its parent did
        for kept in self._spans.values():
            kept.clear()

    def reading(self) -> Reading:
        """``parts``: name -> nanoseconds without the clocks'; ``clocks``: what those took; ``calls`` of all; ``spans``.

        The nanoseconds of all parts and the clocks' make the whole of what was timed.
        """
        within, around = self._costs
        costs = [calls * within + callees * around for calls, callees in zip(self._calls, self._callees, strict=True)]
        parts = {
            part: self._spent[i] - costs[i] for part, i in self._places.items() if i != _OUTSIDE and self._calls[i]
        }
        return {
            "parts": parts,
            "clocks": sum(costs) - costs[_OUTSIDE],
            "calls": sum(self._calls),
            "spans": {part: list(kept) for part, kept in self._spans.items()},
        }


def _costs_of_a_call() -> tuple[float, float]:
    """What a clock around a function that does nothing adds: inside of the clock's own reading, and outside of it."""
    meter = Meter((0.0, 0.0))
    timed = meter.timed("inner", _nothing)
    within, together = [], []
    for _ in range(_TRIALS):
        meter.clear()
        alone, bare, whole = _nanoseconds(None), _nanoseconds(_nothing), _nanoseconds(timed)
        inner = meter.reading()["parts"]["inner"] / _CALLS
        within.append(inner - (bare - alone))
        together.append(whole - bare)
    both = max(statistics.median(together), 0.0)
    inside = min(max(statistics.median(within), 0.0), both)
    return inside, both - inside


def _nothing(a: object, b: object) -> None:
    """As hooks are called: with the object and a number."""


def _nanoseconds(function: Callable[[object, object], None] | None) -> float:
    """Nanoseconds that one of many calls takes, and the work before it.

    For between two hooks of an env much else is done, after which a call costs 1.2 us that costs 0.5 in a tight loop.
    """
    here, there = np.zeros(_WORK, dtype=np.uint8), np.zeros(_WORK, dtype=np.uint8)
    begin = time.perf_counter_ns()
    for i in range(_CALLS):
        there[:] = here
        if function is not None:
            function(None, i)
    return (time.perf_counter_ns() - begin) / _CALLS

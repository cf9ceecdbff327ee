"""Where the time of a step goes: readings of `envcli.clocks.layers`, compared with the same work without clocks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from envcli.bench.sample import Sample, summary
from envcli.clocks.parts import IDLE, WAITING, ranked

__all__ = ["Breakdown", "Column", "broken_down", "coverage"]

Data = dict[str, Any]  # Any: what JSON can hold
Spans = Sequence[Sequence[int]]
"""Begin and end of each, in nanoseconds of a clock that all processes share."""


@dataclass(frozen=True)
class Column:
    """One process, or several alike: part -> microseconds in a step of all envs, which add up to the whole step."""

    name: str
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Breakdown:
    """A step of all envs, in parts.

    Attributes:
        envs: the number of envs.
        us: microseconds of the step, without clocks.
        spread: half the distance between the quartiles of ``us``, as a share of it; None for a single measurement.
        slowdown: how many times as long the step takes with clocks.
        clocks_us: estimated microseconds that the clocks themselves take, which are subtracted from the parts.
        calls: timed calls in the step, in all processes.
        columns: the main process, then the workers if there are any.
        of_waiting: the share of the main process's waiting in which all workers are busy, or some, or none.
    """

    envs: int
    us: float
    spread: float | None
    slowdown: float
    clocks_us: float
    calls: float
    columns: Sequence[Column]
    of_waiting: Mapping[str, float] = field(default_factory=dict)

    @property
    def unaccounted(self) -> float:
        """Microseconds of the step without clocks that no part covers; negative if the parts add up to more."""
        return self.us - sum(self.columns[0].parts.values())

    def as_data(self) -> Data:
        """The breakdown as JSON can hold it."""
        columns = [{"name": column.name, "us": dict(column.parts)} for column in self.columns]
        about = {name: getattr(self, name) for name in ("envs", "us", "spread", "slowdown", "clocks_us", "calls")}
        return {**about, "unaccounted_us": self.unaccounted, "processes": columns, "of_waiting": dict(self.of_waiting)}


def broken_down(
    plain: Sequence[Sample], clocked: Sequence[Sample], readings: Sequence[Data], envs: int, paths: Sequence[str] = ()
) -> Breakdown:
    """The breakdown from repetitions in turn: without clocks, with clocks, and the readings of those clocks.

    Parts are compared with the repetition without clocks of the same round, so a drift of the machine affects both.
    ``paths`` are the transforms' paths in the configuration, in order.
    """
    us = [1e6 * sample.wall / sample.steps * envs for sample in plain]
    spread = summary(us)
    whole = spread.median
    rounds = [_one(sample, reading, envs) for sample, reading in zip(clocked, readings, strict=True)]

    def typical(values: Iterable[float]) -> float:
        return whole * statistics.median(value / step for value, step in zip(values, us, strict=True))

    def column(name: str, found: Sequence[Mapping[str, float]]) -> Column:
        named = dict.fromkeys(part for parts in found for part in parts)
        return Column(name, {part: typical(parts.get(part, 0.0) for parts in found) for part in ranked(named, paths)})

    columns = [column("the main process", [one.main for one in rounds])]
    count = len(readings[0]["workers"])
    if count:
        name = "the worker" if count == 1 else f"each of the {count} workers"
        columns.append(column(name, [one.worker for one in rounds]))
    return Breakdown(
        envs,
        whole,
        spread.spread if len(us) > 1 else None,
        typical(one.us for one in rounds) / whole,
        typical(one.clocks for one in rounds),
        statistics.median(one.calls for one in rounds),
        columns,
        {name: statistics.median(one.of_waiting[name] for one in rounds) for name in rounds[0].of_waiting},
    )


@dataclass(frozen=True)
class _Round:
    """Microseconds of a step of all envs in one repetition."""

    us: float
    clocks: float
    calls: float
    main: Mapping[str, float]
    worker: Mapping[str, float]  # the mean over workers
    of_waiting: Mapping[str, float]


def _one(sample: Sample, reading: Data, envs: int) -> _Round:
    steps = sample.steps / envs
    main, workers = reading["main"], reading["workers"]
    readings = [main, *workers]

    def each(nanoseconds: float) -> float:
        return nanoseconds / 1e3 / steps

    whole = 1e6 * sample.wall / steps
    parts = {part: each(spent) for part, spent in main["parts"].items()}
    own = each(main["clocks"])
    theirs = each(statistics.fmean(worker["clocks"] for worker in workers)) if workers else 0.0
    worker, of_waiting = {}, {}
    if workers:  # reading the workers' clocks makes the main process wait, and the other way round
        parts[WAITING] = max(parts.get(WAITING, 0.0) - theirs, 0.0)
        names = dict.fromkeys(part for found in workers for part in found["parts"])
        worker = {part: each(statistics.fmean(found["parts"].get(part, 0) for found in workers)) for part in names}
        worker[IDLE] = max(whole - own - theirs - sum(worker.values()), 0.0)
        waiting = main["spans"].get(WAITING, [])
        here = list(chain(*(spans for part, spans in main["spans"].items() if part != WAITING)))
        every, some, none = coverage(waiting, [list(chain(*found["spans"].values())) for found in workers], here)
        long = max(every + some + none, 1)
        of_waiting = {"all": every / long, "some": some / long, "none": none / long}
    calls = sum(found["calls"] for found in readings) / steps
    return _Round(whole, own + theirs, calls, parts, worker, of_waiting)


def coverage(waiting: Spans, busy: Sequence[Spans], here: Spans = ()) -> tuple[int, int, int]:
    """How much of the time in ``waiting`` all of the others are busy, or some of them, or none.

    ``here`` are spans in which the waiting process is busy itself, as a local worker is; they do not count.

    >>> coverage([(0, 10)], [[(1, 9)], [(1, 4), (2, 3)]]), coverage([(0, 10)], [[(1, 9)]], here=[(0, 3)])
    ((3, 5, 2), (6, 0, 1))
    """
    times, changes, who = [], [], []
    for one, spans in enumerate([_merged(here), waiting, *map(_merged, busy)], start=-1):
        for begin, end in spans:
            times += [begin, end]
            changes += [1, -1]
            who += [one, one]
    if not times:
        return 0, 0, 0
    at = np.asarray(times, dtype=np.int64)
    order = np.argsort(at, kind="stable")
    change, index = np.asarray(changes)[order], np.asarray(who)[order]
    waits = np.cumsum(np.where(index == 0, change, 0) - np.where(index < 0, change, 0))[:-1] > 0
    working = np.cumsum(np.where(index > 0, change, 0))[:-1]
    long = np.diff(at[order])
    every, none = working == len(busy), working == 0
    return tuple(int(long[waits & where].sum()) for where in (every, ~every & ~none, none))  # type: ignore[return-value]  # three


def _merged(spans: Spans) -> list[tuple[int, int]]:
    """The spans without those inside of others, which are calls within a timed call."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted((int(begin), int(end)) for begin, end in spans):
        if found and begin < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found

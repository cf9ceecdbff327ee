"""Samples of repetitions, and their statistics."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CLOCKS", "Sample", "Summary", "ratios", "speeds", "summary"]

CLOCKS = ("wall", "cpu")


@dataclass(frozen=True)
class Sample:
    """One repetition of one contender: env steps, wall seconds, and CPU seconds of all its processes."""

    steps: int
    wall: float
    cpu: float

    def seconds(self, clock: str) -> float:
        """Seconds by ``"wall"`` or ``"cpu"``; never 0, which a coarse clock may give for very short work."""
        return max(self.wall if clock == "wall" else self.cpu, 1e-9)


@dataclass(frozen=True)
class Summary:
    """Median and quartiles of some values."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half the values are within about ± this share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0

    @property
    def clear(self) -> bool:
        """Whether a ratio differs from 1 by more than its spread."""
        return abs(self.median - 1) > (self.high - self.low) / 2


def summary(values: Sequence[float]) -> Summary:
    """Median and quartiles; a single value is all three.

    >>> summary([1, 2, 3, 4, 100])
    Summary(median=3, low=2.0, high=4.0)
    """
    if len(values) < 2:
        return Summary(values[0], values[0], values[0])
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(statistics.median(values), low, high)


def speeds(samples: Sequence[Sample], clock: str = "wall") -> list[float]:
    """Env steps per second of each sample."""
    return [sample.steps / sample.seconds(clock) for sample in samples]


def ratios(ours: Sequence[Sample], theirs: Sequence[Sample], clock: str = "wall") -> Summary:
    """How many times as fast ours is, from pairs of the same round, which a drift of the machine affects alike.

    >>> slow, fast = Sample(10, 2.0, 2.0), Sample(10, 1.0, 1.0)
    >>> ratios([fast, fast], [slow, slow]).median
    2.0
    """
    pairs = zip(speeds(ours, clock), speeds(theirs, clock), strict=True)
    return summary([one / other for one, other in pairs])

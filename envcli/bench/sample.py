"""What repetitions gave, and what can be said of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CLOCKS", "Sample", "Summary", "ratios", "speeds", "summary"]

CLOCKS = ("wall", "cpu")


@dataclass(frozen=True)
class Sample:
    """One repetition of one contender: env steps made, seconds by the clock, seconds of CPU in all its processes."""

    steps: int
    wall: float
    cpu: float

    def seconds(self, clock: str) -> float:
        """By ``"wall"`` or ``"cpu"``; never 0, which a coarse clock may say of very short work."""
        return max(self.wall if clock == "wall" else self.cpu, 1e-9)


@dataclass(frozen=True)
class Summary:
    """Median and quartiles of some values."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half the values lie within about ± so much of the median; as a share of it."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0

    @property
    def clear(self) -> bool:
        """Of a ratio: does it differ from 1 by more than its own spread?"""
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
    """Env steps per second, of each."""
    return [sample.steps / sample.seconds(clock) for sample in samples]


def ratios(ours: Sequence[Sample], theirs: Sequence[Sample], clock: str = "wall") -> Summary:
    """How many times as fast ours is, from each pair of the same round: a machine that drifts hurts both alike.

    >>> slow, fast = Sample(10, 2.0, 2.0), Sample(10, 1.0, 1.0)
    >>> ratios([fast, fast], [slow, slow]).median
    2.0
    """
    pairs = zip(speeds(ours, clock), speeds(theirs, clock), strict=True)
    return summary([one / other for one, other in pairs])

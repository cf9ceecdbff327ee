"""Repetitions in turn, A B C, A B C, ..., so that a drift or a busy moment of the machine affects all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from envcli.bench.sample import Sample
from envcli.errors import EnvError

__all__ = ["Runner", "enough_passes", "race"]


class Runner(Protocol):
    """Something that can repeat its work and time it."""

    name: str

    def run(self, passes: int) -> Sample:
        """Do the work ``passes`` times."""


def race(
    runners: Sequence[Runner],
    repetitions: int,
    warm_up: int = 1,
    seconds: float = 0.0,
    tell: Callable[[str], None] = lambda text: None,
    failed: dict[str, str] | None = None,
    until: float = math.inf,
) -> dict[str, list[Sample]]:
    """Name -> a sample of each repetition; equal indices are of the same round.

    Args:
        runners: by name, in the order of a round.
        repetitions: rounds that are sampled.
        warm_up: rounds before them that are not.
        seconds: a repetition lasts at least this long; the work is repeated for that.
        tell: called with what happens next.
        failed: filled with name -> message of runners that fail; they have no samples then. A failure of the first
            runner, with which the others are compared, is raised.
        until: a `time.monotonic`. No round begins that would end later if it took as long as the longest so far, so
            there may be fewer samples, or none.
    """
    failed = {} if failed is None else failed
    passes: dict[str, int] = {}
    samples: dict[str, list[Sample]] = {runner.name: [] for runner in runners}
    longest = 0.0
    for i in range(-1, warm_up + repetitions):
        began = time.monotonic()
        if began + longest > until:
            break
        for runner in [runner for runner in runners if runner.name not in failed]:
            tell(f"{runner.name}, round {i + 1} of {warm_up + repetitions}")
            try:
                if i < 0:
                    passes[runner.name] = enough_passes(runner, seconds)
                    continue
                sample = runner.run(passes[runner.name])
            except EnvError as error:
                if runner is runners[0]:
                    raise
                failed[runner.name] = str(error)
                continue
            if i >= warm_up:
                samples[runner.name].append(sample)
        if i >= 0:  # the first round finds out how many passes are enough
            longest = max(longest, time.monotonic() - began)
    return {name: found for name, found in samples.items() if name not in failed}


def enough_passes(runner: Runner, seconds: float) -> int:
    """How often ``runner`` must repeat its work to last ``seconds``; found by trying, which also warms it up."""
    passes, found = 1, runner.run(1)
    while found.wall < seconds:
        longer = math.ceil(passes * seconds / max(found.wall, 1e-6) * 1.1)
        passes = min(max(longer, passes + 1), passes * 10)  # a single pass may be slow or fast by chance
        found = runner.run(passes)
    return passes

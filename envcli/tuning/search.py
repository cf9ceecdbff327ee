"""A bounded search for how many envs and processes make the most steps a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from envcli.bench.sample import Sample, Summary, ratios, speeds, summary
from envcli.errors import EnvError
from envcli.tuning.setting import Setting

__all__ = ["Finalist", "Trial", "Tuned", "best_of", "candidates", "chosen", "search"]

_GROWS = 1.05  # twice as many envs must be so many times as fast, or twice as many again are not tried for long
_MOST_ENVS = 256
_OF_BUDGET = 0.4  # of the time, for the first look at each setting
_FEWEST = 3  # samples of each, to say which of two is faster


class Trial(Protocol):
    """What the search needs to try a setting.

    Attributes:
        transforms: how many there are, on either side.
    """

    transforms: int

    def look(self, setting: Setting) -> Sample:
        """A quick measurement. Raises EnvError where it cannot be built."""

    def sides(self, setting: Setting, until: float) -> list[int]:
        """Other numbers of transforms outside of the workers with which all bits stay the same, as far as is known
        by ``until``, a `time.monotonic`."""

    def least(self, settings: Sequence[Setting]) -> float:
        """Seconds that it takes to compare them, about."""

    def compare(self, settings: Sequence[Setting], until: float) -> dict[Setting, list[Sample]]:
        """Samples taken in turn, as many of each as there is time for by ``until``; one that fails has none."""


@dataclass(frozen=True)
class Finalist:
    """A setting that was measured in turn with the others; ``behind``: how many times as fast the best one is."""

    setting: Setting
    speed: Summary
    behind: Summary
    samples: Sequence[Sample]


@dataclass
class Tuned:
    """What a search found.

    Attributes:
        looks: setting -> steps per second at the first look; None where it cannot be built.
        finalists: the fastest first.
        best: the simplest of those that are not clearly slower than the fastest; what was typed if none took turns.
        left_out: what there was no time for, in words.
        seconds: that the search took.
    """

    typed: Setting
    looks: dict[Setting, float | None] = field(default_factory=dict)
    finalists: list[Finalist] = field(default_factory=list)
    best: Setting | None = None
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def compared(self) -> bool:
        """Was there time to compare what was typed with anything, if there was anything?"""
        return len(self.finalists) > 1 or not self.left_out

    def finalist(self, setting: Setting | None) -> Finalist:
        """What was measured of ``setting``."""
        return next(one for one in self.finalists if one.setting == setting)


def search(
    typed: Setting,
    cores: int,
    trial: Trial,
    budget: float,
    tell: Callable[[str], None] = lambda text: None,
    began: float | None = None,
) -> Tuned:
    """Look at settings one by one, then let the best of them take turns.

    A first look is one short measurement, which a busy moment may spoil; so nothing is claimed by it. Of the three
    fastest and of what was typed many samples are taken in turn, and the simplest setting wins that the fastest does
    not beat by more than the spread.

    What was typed is looked at in any case. Nothing else begins that would not end within ``budget`` seconds, if it
    takes as long as its like did before; where that leaves no time to compare, what was typed is the one finalist.
    ``began``: the `time.monotonic` from which they count; None: now.
    """
    here, longest, first = time.monotonic(), 0.0, list[Sample]()
    began = here if began is None else began
    until = began + budget
    found = Tuned(typed)

    def looking_ends() -> float:
        return min(here + budget * _OF_BUDGET, until - trial.least(_leading(found)[:2]) - longest)

    def look(setting: Setting) -> None:
        nonlocal longest
        if setting in found.looks:
            return
        start = time.monotonic()
        if found.looks and start > looking_ends():
            found.left_out.append(str(setting))
            return
        tell(f"trying {setting}")
        try:
            sample = trial.look(setting)
            found.looks[setting] = sample.steps / sample.wall
            first.append(sample)
        except EnvError:
            if setting == typed:
                raise
            found.looks[setting] = None
        longest = max(longest, time.monotonic() - start)

    for setting in candidates(typed, cores, found):
        look(setting)
    if trial.transforms:
        best, ends = _fastest(found, typed, cores), looking_ends()
        sides = trial.sides(best, ends) if time.monotonic() <= ends else []
        for side in sides:
            look(replace(best, moved=side))
        if not sides and time.monotonic() > ends:
            found.left_out.append("transforms on the other side")
    found.finalists = chosen(_compared(found, trial, until, tell) or {typed: first[:1]})
    found.best = best_of(found.finalists)
    found.seconds = time.monotonic() - began
    return found


def _compared(found: Tuned, trial: Trial, until: float, tell: Callable[[str], None]) -> dict[Setting, list[Sample]]:
    """Samples of as many as there is time for; where that is for none beside what was typed, of that, if of any."""
    leading = _leading(found)
    last = list(leading)
    while last and time.monotonic() + trial.least(last) > until:
        last.pop()
    taken: dict[Setting, list[Sample]] = {}
    if len(last) > 1 or last == leading:
        tell(f"comparing {len(last)} in turn")
        taken = trial.compare(last, until)
    if min(map(len, taken.values()), default=0) < _FEWEST:
        taken = {setting: samples for setting, samples in taken.items() if setting == found.typed and samples}
    found.left_out += [f"comparing {setting}" for setting in leading if setting not in taken and len(leading) > 1]
    return taken


def _leading(found: Tuned) -> list[Setting]:
    """What was typed, then the fastest three by one look."""
    known = {setting: speed for setting, speed in found.looks.items() if speed is not None}
    fastest = sorted(known, key=lambda setting: -known[setting])[:3]
    return list(dict.fromkeys([found.typed, *fastest]))


def candidates(typed: Setting, cores: int, found: Tuned) -> Iterator[Setting]:
    """What to look at next, given what was found before: what matters most comes first."""
    moved = typed.moved
    yield typed
    yield Setting("none", moved=moved)
    envs, most, misses = cores, 0.0, 0
    while envs <= _MOST_ENVS and misses < 2:  # a single look may be unlucky
        yield Setting("processes", envs, cores, moved)
        speed = found.looks.get(Setting("processes", envs, cores, moved)) or 0.0
        misses = 0 if speed > _GROWS * most else misses + 1
        envs, most = 2 * envs, max(most, speed)
    envs = _fastest(found, typed, cores).envs
    yield Setting("serial", envs, 1, moved)
    for workers in (cores - 1, cores + 1, 2 * cores):  # the main process needs a core too, or does it?
        if 0 < workers <= envs:
            yield Setting("processes", envs, workers, moved)


def _fastest(found: Tuned, typed: Setting, cores: int) -> Setting:
    """Of those in processes; one that nobody has looked at, if there is none."""
    looks = {one: speed for one, speed in found.looks.items() if one.kind == "processes" and speed is not None}
    return max(looks, key=lambda one: looks[one]) if looks else Setting("processes", 4 * cores, cores, typed.moved)


def chosen(samples: dict[Setting, list[Sample]]) -> list[Finalist]:
    """The settings with what was measured in turn, the fastest first."""
    speed = {setting: summary(speeds(taken)) for setting, taken in samples.items()}
    ranked = sorted(samples, key=lambda setting: -speed[setting].median)
    fastest = samples[ranked[0]]
    return [Finalist(one, speed[one], ratios(fastest, samples[one]), samples[one]) for one in ranked]


def best_of(finalists: Sequence[Finalist]) -> Setting:
    """The simplest of those that the fastest does not clearly beat."""
    equal = [one.setting for one in finalists if not (one.behind.clear and one.behind.median > 1)]
    return min(equal, key=lambda setting: setting.simplicity)

"""A bounded search for the numbers of envs and processes with the most steps per second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from envcli.bench.sample import Sample, Summary, ratios, speeds, summary
from envcli.errors import EnvError
from envcli.tuning.setting import Setting

__all__ = ["Finalist", "Trial", "Tuned", "best_of", "candidates", "chosen", "search"]

_GROWS = 1.05  # growth in speed that doubling the envs must bring for doubling them again
_MOST_ENVS = 256
_OF_BUDGET = 0.4  # share of the time for the first look at each setting
_FEWEST = 3  # samples of each that are enough to compare two


class Trial(Protocol):
    """What the search needs to try a setting.

    Attributes:
        transforms: the number of transforms, in the workers and outside of them.
    """

    transforms: int

    def look(self, setting: Setting) -> Sample:
        """Measure ``setting`` quickly. Raises EnvError if it cannot be built."""

    def sides(self, setting: Setting, until: float) -> list[int]:
        """Other numbers of transforms outside of the workers with which all bits stay the same, as far as is known
        by ``until``, a `time.monotonic`."""

    def least(self, settings: Sequence[Setting]) -> float:
        """About how many seconds it takes to compare ``settings``."""

    def compare(self, settings: Sequence[Setting], until: float) -> dict[Setting, list[Sample]]:
        """Samples in turn, as many of each as there is time for before ``until``; a setting that fails has none."""


@dataclass(frozen=True)
class Finalist:
    """A setting that was measured in turn with others; ``behind`` is how many times as fast the fastest one is."""

    setting: Setting
    speed: Summary
    behind: Summary
    samples: Sequence[Sample]


@dataclass
class Tuned:
    """The result of a search.

    Attributes:
        looks: setting -> steps per second at the first look; None if it cannot be built.
        finalists: the fastest first.
        best: the simplest that is not clearly slower than the fastest; the typed setting if none were compared.
        left_out: what there was no time for, as a text.
        seconds: the duration of the search.
    """

    typed: Setting
    looks: dict[Setting, float | None] = field(default_factory=dict)
    finalists: list[Finalist] = field(default_factory=list)
    best: Setting | None = None
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def compared(self) -> bool:
        """Whether there was time to compare the typed setting with others, if there were any."""
        return len(self.finalists) > 1 or not self.left_out

    def finalist(self, setting: Setting | None) -> Finalist:
        """The finalist with this ``setting``."""
        return next(one for one in self.finalists if one.setting == setting)


def search(
    typed: Setting,
    cores: int,
    trial: Trial,
    budget: float,
    tell: Callable[[str], None] = lambda text: None,
    began: float | None = None,
) -> Tuned:
    """Look at settings one by one, then measure the best of them in turn.

    A first look is one short measurement, which a busy moment may spoil, so nothing is concluded from it alone. Of the
    three fastest and the typed setting, many samples are taken in turn. The simplest setting wins that the fastest does
    not beat by more than the spread.

    The typed setting is looked at in any case. Nothing else begins that would end after ``budget`` seconds if it took
    as long as similar ones before it. If that leaves no time to compare, the typed setting is the only finalist.
    ``budget`` counts from ``began``, a `time.monotonic`; None: now.
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
    """Samples of as many settings as there is time for, or of the typed one alone if that is all."""
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
    """The typed setting, then the three fastest by their first look."""
    known = {setting: speed for setting, speed in found.looks.items() if speed is not None}
    fastest = sorted(known, key=lambda setting: -known[setting])[:3]
    return list(dict.fromkeys([found.typed, *fastest]))


def candidates(typed: Setting, cores: int, found: Tuned) -> Iterator[Setting]:
    """The settings to look at next, given what was found before, the most important first."""
    moved = typed.moved
    yield typed
    yield Setting("none", moved=moved)
    envs, most, misses = cores, 0.0, 0
    while envs <= _MOST_ENVS and misses < 2:  # a single look may be slow by chance
        yield Setting("processes", envs, cores, moved)
        speed = found.looks.get(Setting("processes", envs, cores, moved)) or 0.0
        misses = 0 if speed > _GROWS * most else misses + 1
        envs, most = 2 * envs, max(most, speed)
    envs = _fastest(found, typed, cores).envs
    yield Setting("serial", envs, 1, moved)
    for workers in (cores - 1, cores + 1, 2 * cores):  # the main process may need a core too
        if 0 < workers <= envs:
            yield Setting("processes", envs, workers, moved)


def _fastest(found: Tuned, typed: Setting, cores: int) -> Setting:
    """The fastest setting with processes; a new one if none was looked at."""
    looks = {one: speed for one, speed in found.looks.items() if one.kind == "processes" and speed is not None}
    return max(looks, key=lambda one: looks[one]) if looks else Setting("processes", 4 * cores, cores, typed.moved)


def chosen(samples: dict[Setting, list[Sample]]) -> list[Finalist]:
    """The settings with their samples taken in turn, the fastest first."""
    speed = {setting: summary(speeds(taken)) for setting, taken in samples.items()}
    ranked = sorted(samples, key=lambda setting: -speed[setting].median)
    fastest = samples[ranked[0]]
    return [Finalist(one, speed[one], ratios(fastest, samples[one]), samples[one]) for one in ranked]


def best_of(finalists: Sequence[Finalist]) -> Setting:
    """The simplest setting that the fastest does not clearly beat."""
    equal = [one.setting for one in finalists if not (one.behind.clear and one.behind.median > 1)]
    return min(equal, key=lambda setting: setting.simplicity)

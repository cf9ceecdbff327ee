"""Jobs that differ only in their seed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from envcli.reports.columns import averaged
from envcli.reports.job import Job
from envcli.terminal.answer import number

__all__ = ["AVERAGED_FIRST", "Group", "Mean"]

AVERAGED_FIRST = "runs of the same seed are averaged first, and count as one"
"""What is said beside means where a seed ran more than once."""


@dataclass(frozen=True)
class Mean:
    """A mean over ``count`` seeds; ``spread`` is the standard deviation (n - 1), None for fewer than two seeds.

    >>> str(Mean(12.345, 0.678, 3)), str(Mean(-1287.7, 145.2, 3)), str(Mean(7.0, None, 1))
    ('12.35 ± 0.68', '-1,288 ± 145', '7')
    """

    mean: float
    spread: float | None
    count: int

    def __str__(self) -> str:
        if self.spread is None:
            return number(self.mean)
        width = f"{self.spread:,.0f}" if self.spread >= 100 else f"{self.spread:.2g}"
        return f"{number(self.mean)} ± {width}"


@dataclass(frozen=True)
class Group:
    """One setting of all keys that differ, except the seed, and its jobs."""

    settings: Mapping[str, str]
    jobs: Sequence[Job]

    def label(self, among: Sequence[Group] = ()) -> str:
        """The setting as it was typed; with ``among``, only the keys in which those groups differ.

        If nothing differs, the name of the env.
        """
        typed = [
            f"{key}={value}" if value else f"{key} not given"
            for key, value in self.settings.items()
            if not among or any(group.settings[key] != value for group in among)
        ]
        return ", ".join(typed) or self.jobs[0].name

    @cached_property
    def seeds(self) -> Mapping[str, Sequence[Job]]:
        """Seed -> its jobs; a job without a known seed stands for itself."""
        found: dict[str, list[Job]] = {}
        for job in self.jobs:
            found.setdefault(job.seed or str(job.folder), []).append(job)
        return found

    def mean(self, key: str) -> Mean | None:
        """A metric's mean over the seeds that have it, after averaging the jobs of each seed; None if none has it."""
        found = []
        for jobs in self.seeds.values():
            if values := [value for job in jobs if (value := job.metric(key)) is not None]:
                found.append(statistics.fmean(values))
        if not found:
            return None
        return Mean(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None, len(found))

    def averaged(self, keys: Iterable[str]) -> list[str]:
        """The means of these metrics as text, with the number of seeds if some measured seeds lack the metric."""
        most = self._measured(keys)
        return [
            "-" if mean is None else f"{mean}" if mean.count == len(most) else f"{mean} (of {mean.count})"
            for mean in map(self.mean, keys)
        ]

    def counted(self, keys: Iterable[str], runs: bool = False) -> str:
        """The number of seeds, or ``runs``, behind these metrics: ``3``, or ``2 of 3`` if some have none.

        ``-`` if no job is a rollout: a film has no returns, and is none that failed.
        """
        measured = self._measured(keys)
        found, every = len(measured), len(self.seeds)
        if runs:
            found, every = sum(map(len, measured.values())), len(self.jobs)
        if not found and all(job.command not in ("", "rollout") for job in self.jobs):
            return "-"
        return str(every) if found == every else f"{found} of {every}"

    def values(self, key: str) -> list[float]:
        """The sorted quantiles of all jobs; with more than 101 episodes each, every job has the same weight.

        Runs of one seed with the same values count once.
        """
        lists = {(seed, tuple(job.values(key))) for seed, jobs in self.seeds.items() for job in jobs}
        return sorted(value for _, values in lists for value in values)

    def _measured(self, keys: Iterable[str]) -> dict[str, list[Job]]:
        """Seed -> its jobs that have any of these metrics."""
        names = list(keys)
        found = {
            seed: [job for job in jobs if any(job.metric(key) is not None for key in names)]
            for seed, jobs in self.seeds.items()
        }
        return {seed: jobs for seed, jobs in found.items() if jobs}

    def data(self) -> dict[str, Any]:  # Any: what JSON can hold
        """The group as JSON can hold it."""
        means = {key: vars(mean) for key in averaged(self.jobs) if (mean := self.mean(key)) is not None}
        return {
            "settings": dict(self.settings),
            "seeds": [jobs[0].seed_number for jobs in self.seeds.values()],
            "runs": len(self.jobs),
            "folders": [str(job.folder) for job in self.jobs],
            **means,
        }

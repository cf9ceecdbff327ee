"""Jobs that differ in their seed alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envcli.reports.job import Job
from envcli.terminal.answer import number

__all__ = ["Group", "Mean"]


@dataclass(frozen=True)
class Mean:
    """A number over several jobs: ``spread`` is the standard deviation (n - 1), None of fewer than two jobs.

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
    """One setting of everything that differs but the seed, and its jobs."""

    settings: Mapping[str, str]
    jobs: Sequence[Job]

    def label(self, among: Sequence[Group] = ()) -> str:
        """The setting as it was typed, of it what differs ``among`` some groups, if any are given.

        The name of what ran where nothing differs.
        """
        typed = [
            f"{key}={value}" if value else f"{key} not given"
            for key, value in self.settings.items()
            if not among or any(group.settings[key] != value for group in among)
        ]
        return ", ".join(typed) or self.jobs[0].name

    def mean(self, key: str) -> Mean | None:
        """A metric over the jobs that have it; None if none has."""
        found = [value for job in self.jobs if (value := job.metric(key)) is not None]
        if not found:
            return None
        return Mean(statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None, len(found))

    def values(self, key: str) -> list[float]:
        """Quantiles of all jobs together, sorted: with more than 101 episodes each, every job weighs the same."""
        return sorted(value for job in self.jobs for value in job.values(key))

    def data(self) -> dict[str, Any]:  # Any: what JSON can hold
        """The group as JSON can hold it."""
        keys = ("return_mean", "length_mean", "steps_per_second")
        means = {key: vars(mean) for key in keys if (mean := self.mean(key)) is not None}
        return {
            "settings": dict(self.settings),
            "seeds": [job.seed for job in self.jobs],
            "folders": [str(job.folder) for job in self.jobs],
            **means,
        }

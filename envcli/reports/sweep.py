"""All runs below a folder, and how they differ."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import envcli
from envcli.errors import StoreError
from envcli.folders.sweep_plan import SweepPlan
from envcli.reports.group import Group
from envcli.reports.job import UNBEGUN, Job, shown
from envcli.terminal.answer import relative_path
from envcli.typed_word import word

__all__ = ["Sweep"]

_ASIDE = (
    "seed",
    "json",
)  # not part of a setting: seeds are averaged over, json only changes the output

_STOPPED = (UNBEGUN, "interrupted", "killed")


@dataclass(frozen=True)
class Sweep:
    """The jobs of a multirun, or a single run, or every run in a tree of folders, in order."""

    folder: Path
    jobs: Sequence[Job]

    @classmethod
    def of(cls, folder: Path) -> Sweep:
        """The runs in and below ``folder``, not looking inside of runs and not following links."""
        closed: list[Path] = []
        jobs = [Job.read(path) for path in _run_folders(folder, closed)]
        jobs += [Job(path, "unreadable", shown(f"{path}: cannot be read, permission denied")) for path in closed]
        return cls(folder, sorted(jobs, key=lambda job: _natural(str(job.folder))))

    @cached_property
    def with_unbegun(self) -> Sweep:
        """The same with the jobs that were planned and have no folder: they never began."""
        begun = {job.number for job in self.jobs}
        plan = None if None in begun else self._plan  # folders with other names do not tell which job
        words = enumerate(() if plan is None else plan.jobs)
        unbegun = [Job.unbegun(self.folder, number, typed) for number, typed in words if number not in begun]
        return replace(self, jobs=sorted([*self.jobs, *unbegun], key=lambda job: job.number or 0)) if unbegun else self

    @property
    def way_on(self) -> str | None:
        """What to type to complete a multirun that was stopped; None if nothing is missing, or it is at work."""
        states = self.with_unbegun.states
        stopped = any(states[state] for state in _STOPPED) and not states["running"]
        if not stopped or self._plan is None or not self._plan.complete:
            return None
        return f"envcli {shown(self._plan.command)} -m {word('resume', relative_path(self.folder))}"

    @cached_property
    def _plan(self) -> SweepPlan | None:
        try:
            return SweepPlan.read(self.folder)
        except StoreError:  # anybody may have written it, and the runs are there all the same
            return None

    @cached_property
    def swept(self) -> list[str]:
        """The keys, except the seed, in which jobs differ, in the order in which they were typed."""
        keys = dict.fromkeys(key for job in self.jobs for key in job.overrides if key not in _ASIDE)
        return [key for key in keys if len({job.overrides.get(key) for job in self.jobs}) > 1]

    @cached_property
    def shared(self) -> dict[str, str]:
        """The overrides that all jobs have in common."""
        first = self.jobs[0].overrides if self.jobs else {}
        return {k: v for k, v in first.items() if all(job.overrides.get(k) == v for job in self.jobs)}

    @property
    def several_seeds(self) -> bool:
        """Whether seeds differ."""
        return len({job.seed for job in self.jobs}) > 1

    @property
    def repeated(self) -> bool:
        """Whether anything ran with several seeds."""
        return any(len(group.seeds) > 1 for group in self.groups)

    @property
    def again(self) -> bool:
        """Whether anything ran more than once with one seed."""
        return any(len(group.seeds) < len(group.jobs) for group in self.groups)

    def settings(self, job: Job) -> dict[str, str]:
        """The job's values for the keys in :attr:`swept`, empty for a key that was not typed.

        In a tree of folders, also the command and the env if they differ, as a default may stand for either.
        """
        found = {key: job.overrides.get(key, "") for key in self.swept}
        return found if self._numbered else {**{k: getattr(job, k) for k in self._kinds}, **found}

    @cached_property
    def groups(self) -> list[Group]:
        """The jobs by their settings; those that differ only in the seed are together."""
        found: dict[tuple[str, ...], list[Job]] = {}
        for job in self.jobs:
            found.setdefault(tuple(self.settings(job).values()), []).append(job)
        return [Group(self.settings(jobs[0]), jobs) for jobs in found.values()]

    @property
    def states(self) -> Counter[str]:
        """State -> the number of jobs in it."""
        return Counter(job.state for job in self.jobs)

    @property
    def failed(self) -> list[Job]:
        """The jobs that failed, were killed, did not begin, or cannot be read."""
        return [job for job in self.jobs if job.state not in ("finished", "running", "interrupted")]

    def where(self, job: Job) -> Path:
        """The job's folder, relative to the sweep's."""
        return job.folder.relative_to(self.folder)

    def label(self, job: Job) -> str:
        """The name of a job in the report: its number, or its folder if it has none."""
        where = self.where(job)
        if not where.parts:
            return shown(job.folder.name)
        return str(job.number) if job.number is not None and len(where.parts) == 1 else shown(where)

    def data(self) -> dict[str, Any]:  # Any: what JSON can hold
        """The sweep as JSON can hold it."""
        return {
            "folder": str(self.folder),
            "envcli": envcli.__version__,
            "states": dict(self.states),
            "swept": self.swept,
            "shared": self.shared,
            "groups": [group.data() for group in self.groups],
            "jobs": [job.data() for job in self.jobs],
        }

    @cached_property
    def _numbered(self) -> bool:
        return all(job.number is not None and job.folder.parent == self.folder for job in self.jobs)

    @cached_property
    def _kinds(self) -> list[str]:
        return [kind for kind in ("command", "name") if len({getattr(job, kind) for job in self.jobs}) > 1]


def _run_folders(folder: Path, closed: list[Path]) -> Iterator[Path]:
    """The run folders in and below ``folder``; folders without read permission are added to ``closed``."""

    def note(error: OSError) -> None:
        if isinstance(error, PermissionError):
            closed.append(Path(error.filename))

    for path, folders, files in os.walk(folder, onerror=note):
        if "status.json" in files:
            folders.clear()  # the data of a run is many files, and contains no runs
            yield Path(path)


def _natural(text: str) -> list[tuple[int, str]]:
    """A sort key that puts 10_x after 9_x."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]

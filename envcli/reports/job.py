"""One run folder, as a row of a report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from envcli.errors import StoreError
from envcli.folders.json_file import read_json
from envcli.folders.run_status import run_state
from envcli.reports.setting import settings
from envcli.terminal.printable import printable

__all__ = ["GROUP", "UNBEGUN", "Job", "shown"]

UNBEGUN = "not begun"
"""The state of a job that was planned, and has no folder."""

GROUP = "group_returns."
"""What the name of a group of agents follows in the key of its mean return, see :meth:`Job.metric`."""

_GROUPS = 8  # whose returns are shown

_MOST = 1e100  # a larger value is no measurement, and its square would overflow

_NUMBERED = re.compile(r"(\d+)_(.*)")  # the name of a job's folder, see conf/command.yaml


@dataclass(frozen=True)
class Job:
    """A run and what is known of it. Its files may have been written by anybody, so nothing here trusts them.

    ``state`` is that of :func:`envcli.folders.run_status.run_state`, or ``unreadable`` if a file is broken, which
    ``error`` then explains. ``overrides`` are those that were typed, in one spelling (`settings`).
    """

    folder: Path
    state: str
    error: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)  # Any: what JSON can hold, here and below
    manifest: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Job:
        """The run in ``folder``, in whatever state it is."""
        try:
            status, metrics, manifest = (read_json(folder / f"{n}.json") for n in ("status", "metrics", "manifest"))
        except StoreError as error:
            return cls(folder, "unreadable", shown(error))
        said, words = status.get("error"), status.get("overrides")
        overrides = settings([shown(word) for word in words]) if isinstance(words, list) else {}
        return cls(folder, shown(run_state(folder, status)), said and shown(said), overrides, metrics, manifest, status)

    @classmethod
    def unbegun(cls, sweep: Path, number: int, words: Sequence[str]) -> Job:
        """A job of the multirun in ``sweep`` that never got a folder, with the overrides typed for it."""
        return cls(sweep / f"{number}_", UNBEGUN, overrides=settings([*map(shown, words)]))

    @property
    def number(self) -> int | None:
        """The job's number in a sweep; None outside of one."""
        match = _NUMBERED.fullmatch(self.folder.name)
        return int(match[1]) if match else None

    @property
    def name(self) -> str:
        """The name of the env, such as ``Pendulum-v1``."""
        if isinstance(name := self.metrics.get("name"), str):
            return shown(name)
        match = _NUMBERED.fullmatch(self.folder.name)  # a failed job has no metrics
        return shown(match[2] if match else self.folder.parent.name)

    @property
    def command(self) -> str:
        """The subcommand; empty if it is not known."""
        return shown(self.manifest.get("command") or "")

    @property
    def seed(self) -> str:
        """The seed, given or drawn; empty if it is not known."""
        found = self.manifest.get("seed")
        return self.overrides.get("seed", "") if found is None else shown(found)

    @property
    def seed_number(self) -> int | str:
        """The seed as JSON has it: a number, if it is one."""
        return int(self.seed) if self.seed.isdecimal() else self.seed

    @property
    def reward_transforms(self) -> tuple[str, ...]:
        """The classes of the transforms that changed the rewards."""
        found = self.metrics.get("reward_transforms")
        return tuple(map(shown, found)) if isinstance(found, list) else ()

    def metric(self, key: str) -> float | None:
        """A number of ``metrics.json``, or the mean return of a group of agents; None if missing or not finite."""
        if key.startswith(GROUP):
            return self.group_returns.get(key.removeprefix(GROUP))
        return _finite(self.metrics.get(key))

    @cached_property
    def group_returns(self) -> Mapping[str, float]:
        """Group of agents -> its mean return; of the first eight, where groups are rewarded."""
        found = self.metrics.get("group_returns")
        means = {
            shown(name): _finite(numbers.get("mean"))
            for name, numbers in (found.items() if isinstance(found, dict) else ())
            if isinstance(numbers, dict)
        }
        return dict(islice(((name, mean) for name, mean in means.items() if mean is not None), _GROUPS))

    def values(self, key: str) -> list[float]:
        """A list of numbers of ``metrics.json``, sorted; empty if it is missing."""
        found = self.metrics.get(key)
        numbers = map(_finite, found) if isinstance(found, list) else ()
        return sorted(value for value in numbers if value is not None)

    def data(self) -> dict[str, Any]:
        """The job as JSON can hold it."""
        found = {"job": self.number, "folder": str(self.folder), "state": self.state, "error": self.error}
        return {**found, "seed": self.seed_number, "overrides": dict(self.overrides), "metrics": dict(self.metrics)}


def shown(value: object) -> str:
    """``value`` on one line, without control characters or what is not valid UTF-8.

    >>> shown("a\\n b \\x1b[2J")
    'a b \ufffd[2J'
    """
    return printable(" ".join(str(value).split()))


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _MOST else None  # also false for nan

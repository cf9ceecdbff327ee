"""A sweep as CSV, with a row for each job."""

from __future__ import annotations

import csv
import io
from typing import Any

from envcli.reports.job import GROUP, Job, shown
from envcli.reports.sweep import Sweep

__all__ = ["text"]

_FORMULA = ("=", "+", "-", "@")


def text(sweep: Sweep) -> str:
    """The text of the file: the keys that differ, the state, then each metric that is a single value or of a group."""
    metrics = dict.fromkeys(key for job in sweep.jobs for key in _metrics(job))
    for key in ("seed", "folder", *sweep.swept):
        metrics.pop(key, None)
    settings = list(sweep.settings(sweep.jobs[0])) if sweep.jobs else []
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(_cell, ("job", *settings, "seed", "state", "error", *metrics, "folder")))
    for job in sweep.jobs:
        writer.writerow(map(_cell, _row(sweep, job, list(metrics))))
    return file.getvalue()


def _row(sweep: Sweep, job: Job, metrics: list[str]) -> list[Any]:  # Any: what JSON can hold
    found = _metrics(job)
    values = [found.get(key) for key in metrics]
    settings = sweep.settings(job).values()
    return [job.number, *settings, job.seed, job.state, job.error, *values, sweep.where(job)]


def _metrics(job: Job) -> dict[str, Any]:
    returns = {f"{GROUP}{name}": mean for name, mean in job.group_returns.items()}
    return {key: value for key, value in job.metrics.items() if _single(value)} | returns


def _single(value: object) -> bool:
    return isinstance(value, str | int | float)


def _cell(value: object) -> object:
    """A cell: numbers as they are, and an apostrophe before a text that a spreadsheet would take for a formula.

    >>> _cell(-1.5), _cell("-1.5"), _cell("=1+1")
    (-1.5, '-1.5', "'=1+1")
    """
    if value is None or isinstance(value, int | float):
        return value
    line = shown(value) if _single(value) or not isinstance(value, list | dict) else ""
    return f"'{line}" if line.startswith(_FORMULA) and not _is_number(line) else line


def _is_number(line: str) -> bool:
    try:
        float(line)
    except ValueError:
        return False
    return True

"""The numbers of a run that its reports show, in order."""

from __future__ import annotations

from collections.abc import Sequence

from envcli.reports.job import GROUP, Job

__all__ = ["COLUMNS", "averaged", "present"]

COLUMNS = {
    "steps": "steps",
    "episodes": "episodes",
    "return_mean": "return",
    "length_mean": "length",
    "frames": "frames",
    "steps_per_second": "steps/s",
}
"""The key in ``metrics.json``, and what it is called."""


_COUNTS = ("steps", "episodes", "frames")


def present(jobs: Sequence[Job]) -> dict[str, str]:
    """The columns in which any of the jobs has a number; the returns of groups of agents follow the return."""
    groups = dict.fromkeys(name for job in jobs for name in job.group_returns)
    columns: dict[str, str] = {}
    for key, title in COLUMNS.items():
        columns[key] = title
        if key == "return_mean":
            columns |= {f"{GROUP}{name}": f"return {name}" for name in groups}
    return {key: title for key, title in columns.items() if any(job.metric(key) is not None for job in jobs)}


def averaged(jobs: Sequence[Job]) -> dict[str, str]:
    """The columns in which seeds are compared."""
    return {key: title for key, title in present(jobs).items() if key not in _COUNTS}

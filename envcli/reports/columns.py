"""The numbers of a run that its reports show, in order."""

from __future__ import annotations

from collections.abc import Sequence

from envcli.reports.job import Job

__all__ = ["COLUMNS", "present"]

COLUMNS = {
    "steps": "steps",
    "episodes": "episodes",
    "return_mean": "return",
    "length_mean": "length",
    "frames": "frames",
    "steps_per_second": "steps/s",
}
"""The key in ``metrics.json``, and what it is called."""


def present(jobs: Sequence[Job]) -> dict[str, str]:
    """The columns in which any of the jobs has a number."""
    return {key: title for key, title in COLUMNS.items() if any(job.metric(key) is not None for job in jobs)}

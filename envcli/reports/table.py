"""A sweep in the terminal, within 80 characters if its settings are short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from envcli.reports.columns import averaged, present
from envcli.reports.group import AVERAGED_FIRST
from envcli.reports.sweep import Sweep
from envcli.terminal.answer import number
from envcli.terminal.table import empty_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["drawn", "unbegun_line"]

_MANY = 8  # settings with a column each; the runs of a whole tree may have dozens
_NARROW = 8  # least width of a column of words, in characters

_STYLES = {"finished": "green", "running": "cyan", "interrupted": "yellow"}


def drawn(sweep: Sweep, unbegun: int = 0) -> RenderableType:
    """A row for each job, and the mean and spread over seeds below. What all jobs have in common is said once.

    ``unbegun`` is the number of jobs that did not begin and are not in ``sweep``.
    """
    from rich.console import Group
    from rich.text import Text

    steps = {job.metric("steps") for job in sweep.jobs if job.state != "failed"}
    alike = steps.pop() if len(steps) == 1 else None
    parts: list[RenderableType] = [_jobs(sweep, alike is not None)]
    if unbegun:
        parts.append(Text(unbegun_line(unbegun)))
    if sweep.repeated and (columns := averaged(sweep.jobs)):
        parts += [Text(), _groups(sweep, columns)]
        if sweep.again:
            parts.append(Text(AVERAGED_FIRST))
    if alike is not None and len(sweep.jobs) > 1:
        parts.append(Text(f"each of {number(alike)} steps"))
    parts += map(Text, _of_rewards(sweep))
    return Group(*parts)


def unbegun_line(count: int) -> str:
    """How many jobs did not begin, in words.

    >>> unbegun_line(1), unbegun_line(1200)
    ('1 more job did not begin', '1,200 more jobs did not begin')
    """
    return f"{number(count)} more job{'s' * (count != 1)} did not begin"


def _of_rewards(sweep: Sweep) -> Iterator[str]:
    """Lines that say which transforms changed the rewards, if any did, and of which jobs, if not of all."""
    jobs = [job for job in sweep.jobs if job.metric("return_mean") is not None or job.group_returns]
    for kinds in dict.fromkeys(job.reward_transforms for job in jobs):
        if kinds:
            those = [job for job in jobs if job.reward_transforms == kinds]
            which = "" if len(those) == len(jobs) else f" (jobs {', '.join(map(sweep.label, those))})"
            yield f"returns are of rewards after {' and '.join(kinds)}{which}"


def _jobs(sweep: Sweep, steps_alike: bool) -> Table:
    from rich.text import Text

    columns = present(sweep.jobs)
    if steps_alike and len(sweep.jobs) > 1:
        columns.pop("steps", None)
    settings, typed = _settings(sweep, sweep.settings(sweep.jobs[0]))
    seeds = ["seed"] if sweep.several_seeds else []
    table = empty_table("job", *settings, *seeds, "state", *columns.values(), *typed, right=columns.values())
    for job in sweep.jobs:
        values = [number(job.metric(key)) for key in columns]
        settings, typed = _settings(sweep, sweep.settings(job))
        state = Text(job.state, _STYLES.get(job.state, "red"))
        table.add_row(
            Text(sweep.label(job)),
            *map(Text, settings.values()),
            *[Text(job.seed) for _ in seeds],
            state,
            *values,
            *map(Text, typed.values()),
        )
    return _legible(table)


def _groups(sweep: Sweep, columns: Mapping[str, str]) -> Table:
    from rich.text import Text

    settings, typed = _settings(sweep, sweep.settings(sweep.jobs[0]))
    counts = {"seeds": False, **({"runs": True} if sweep.again else {})}
    numbers = [*counts, *columns.values()]
    table = empty_table(*settings, *numbers, *typed, right=numbers)
    for group in sweep.groups:
        numbers = [*(group.counted(columns, runs) for runs in counts.values()), *group.averaged(columns)]
        settings, typed = _settings(sweep, group.settings)
        table.add_row(*map(Text, settings.values()), *numbers, *map(Text, typed.values()))
    return _legible(table)


def _settings(sweep: Sweep, settings: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """A column for each of ``settings``; if there are too many, one column with those that were typed for the job."""
    if len(sweep.swept) <= _MANY:
        return settings, {}
    typed = " ".join(f"{key}={settings[key]}" for key in sweep.swept if settings[key])
    return {key: value for key, value in settings.items() if key not in sweep.swept}, {"typed": typed}


def _legible(table: Table) -> Table:
    """``table``, made wider than the terminal rather than break a number or lose a column of words."""
    from rich.cells import cell_len

    for column in table.columns:
        widest = max(cell_len(str(text)) for text in (column.header, *column.cells))
        column.min_width = widest if column.justify == "right" else min(widest, _NARROW)
    return table

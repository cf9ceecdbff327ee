"""The tables of a page: the groups with their means, and all jobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from envcli.reports.chip import chip
from envcli.reports.columns import averaged, present
from envcli.reports.gallery import film_of, link
from envcli.reports.group import AVERAGED_FIRST
from envcli.reports.job import Job
from envcli.reports.markup import Markup, join, tag
from envcli.reports.section import section
from envcli.reports.sweep import Sweep
from envcli.terminal.answer import number

__all__ = ["jobs", "means"]

_FILES = ("config.yaml", "metrics.json", "log.txt")


def means(sweep: Sweep) -> Markup | None:
    """The settings with mean and spread over seeds; None if seeds do not differ, as the table of jobs is enough."""
    if not sweep.repeated:
        return None
    columns = averaged(sweep.jobs)
    if not columns:
        return None
    counts = {"seeds": False, **({"runs": True} if sweep.again else {})}
    rows = []
    for group in sweep.groups:
        numbers = [*(group.counted(columns, runs) for runs in counts.values()), *group.averaged(columns)]
        cells = [tag("td", text, class_="number") for text in numbers]
        rows.append([*_settings(group.settings.values()), *cells])
    table = _table("Means over seeds", list(sweep.settings(sweep.jobs[0])), [*counts, *columns.values()], rows)
    how = "Mean ± standard deviation over the seeds" + (f"; {AVERAGED_FIRST}." if sweep.again else ".")
    return section("Over seeds", tag("p", how, class_="faint"), table)


def jobs(sweep: Sweep) -> Markup | None:
    """A row for each job, with links to its files; None if there are no jobs."""
    if not sweep.jobs:
        return None
    columns = present(sweep.jobs)
    seeds = ["seed"] if any(job.seed for job in sweep.jobs) else []
    rows = []
    for job in sweep.jobs:
        values = [tag("td", number(job.metric(key)), class_="number") for key in columns]
        settings = _settings(sweep.settings(job).values())
        rows.append(
            [
                tag("th", tag("a", sweep.label(job), href=link(sweep.where(job))), scope="row"),
                *settings,
                *[tag("td", job.seed) for _ in seeds],
                tag("td", chip(job.state), title=job.error),
                *values,
                tag("td", *_links(sweep, job), class_="links"),
            ]
        )
    words = ["job", *sweep.settings(sweep.jobs[0]), *seeds, "state"]
    title = "Jobs" if len(sweep.jobs) > 1 else "The run"
    return section(title, _table(title, words, [*columns.values()], rows, ["files"]))


def _links(sweep: Sweep, job: Job) -> list[Markup]:
    film = film_of(job)
    names = [name for name in _FILES if os.path.isfile(job.folder / name)] + ([film.name] if film else [])
    return [join(tag("a", Path(name).stem, href=link(sweep.where(job) / name)), " ") for name in names]


def _settings(values: Iterable[str]) -> list[Markup]:
    return [tag("td", value) if value else tag("td", "-", class_="faint", title="not given") for value in values]


def _table(
    name: str, words: list[str], numbers: list[str], rows: list[list[Markup]], after: Sequence[str] = ()
) -> Markup:
    head = [tag("th", word, scope="col") for word in words]
    head += [tag("th", word, scope="col", class_="number") for word in numbers]
    head += [tag("th", word, scope="col") for word in after]
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *(tag("tr", *row) for row in rows)))
    return tag("div", table, class_="wide", role="region", aria_label=name, tabindex=0)  # so that keys can scroll it

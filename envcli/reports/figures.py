"""The figures of a page: returns, lengths and speed."""

from __future__ import annotations

from collections.abc import Sequence

from envcli.reports.distributions import distributions
from envcli.reports.group import Group
from envcli.reports.markup import Markup, tag
from envcli.reports.section import section
from envcli.reports.sweep import Sweep
from envcli.reports.throughput import throughput
from envcli.terminal.answer import number

__all__ = ["figures"]


def figures(sweep: Sweep) -> list[Markup | None]:
    """The returns and lengths, with an axis for each env, and the speeds."""
    found: list[Markup | None] = []
    for metric, title, unit in (("return", "Returns", "return"), ("length", "Lengths", "steps")):
        figures = []
        by_name = _by_name(sweep)
        for name, groups in by_name.items():
            if (figure := distributions(groups, metric, unit)) is not None:
                heading = tag("h3", name) if len(by_name) > 1 else Markup()
                figures.append(tag("div", heading, figure))
        how = "Dots are episodes; the box holds the middle half of them, the stroke is the median, the number the mean"
        how += " ± its standard deviation over seeds." if sweep.repeated else "."
        if sampled := [count for job in sweep.jobs if (count := job.metric("quantiles_of")) is not None]:
            how += f" Of runs with more episodes than {number(max(sampled))}, they are of a random sample of so many."
        found.append(_figure(title, how, figures))
    speeds = throughput(sweep.groups)
    how = "Env steps a second, of the whole run: with what transforms, policy and storage take."
    found.append(_figure("Speed", how, [speeds] if speeds is not None else []))
    return found


def _by_name(sweep: Sweep) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in sweep.groups:
        found.setdefault(group.jobs[0].name, []).append(group)
    return found


def _figure(title: str, how: str, figures: Sequence[Markup]) -> Markup | None:
    if not figures:
        return None
    return section(title, tag("figure", tag("figcaption", how, class_="faint"), *figures))

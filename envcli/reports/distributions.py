"""The distributions of returns or lengths of episodes, for each group."""

from __future__ import annotations

from collections.abc import Sequence

from envcli.reports.group import Group
from envcli.reports.markup import Markup, join, tag
from envcli.reports.scale import Scale
from envcli.reports.strips import MOST, Strip, percent, strips
from envcli.terminal.answer import number

__all__ = ["distributions"]

_DOTS = 60  # episodes drawn for a group, evenly chosen by rank if there are more
_HEIGHT, _MIDDLE, _LOW = 34, 11, 27  # pixels: height of a line, place of its box, place of its dots


def distributions(groups: Sequence[Group], metric: str, unit: str) -> Markup | None:
    """For each group, a box over the middle half, a line from least to largest, a stroke at the median, and a dot for
    each episode.

    ``metric`` is return or length. None if no group has any.
    """
    known = [(group, values) for group in groups if (values := group.values(f"{metric}_quantiles"))]
    if not known:
        return None
    drawn = known[:MOST]
    scale = Scale(value for _, values in drawn for value in (values[0], values[-1]))
    among = groups if len(groups) > 1 else ()
    rows = [_strip(group.label(among), group, values, metric, scale) for group, values in drawn]
    return strips(rows, scale, _HEIGHT, unit, len(known))


def _strip(label: str, group: Group, values: list[float], metric: str, scale: Scale) -> Strip:
    low, first, median, third, high = (_rank(values, share) for share in (0, 0.25, 0.5, 0.75, 1))
    x = [percent(scale, value) for value in (low, first, median, third, high)]
    width = f"{100 * (scale.share(third) - scale.share(first)):.2f}%"
    drawing = [
        tag("line", x1=x[0], x2=x[4], y1=_MIDDLE, y2=_MIDDLE, class_="whisker"),
        tag("rect", x=x[1], y=_MIDDLE - 7, width=width, height=14, rx=2, class_="box"),
        tag("line", x1=x[2], x2=x[2], y1=_MIDDLE - 7, y2=_MIDDLE + 7, class_="median"),
    ]
    dots = [_rank(values, i / (_DOTS - 1)) for i in range(_DOTS)] if len(values) > _DOTS else values
    drawing += [tag("circle", cx=percent(scale, value), cy=_LOW, r=2.5, class_="dot") for value in dots]
    words = f"{metric} of {group.label()}: median {number(median)}, half of the episodes from {number(first)} to "
    words += f"{number(third)}, all from {number(low)} to {number(high)}"
    return label, join(*drawing), str(group.mean(f"{metric}_mean") or number(median)), words


def _rank(values: list[float], share: float) -> float:
    return values[round(share * (len(values) - 1))]

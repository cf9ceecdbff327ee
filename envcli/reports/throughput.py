"""The speed of the groups: curves over the swept number, if there is one, else bars."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from envcli.reports.group import Group, Mean
from envcli.reports.markup import Markup, join, tag
from envcli.reports.scale import Scale
from envcli.reports.strips import MOST, Strip, percent, strips
from envcli.terminal.answer import number

__all__ = ["throughput"]

_MOST_LINES = 8  # colours that can be told apart; for more, a table is better
_HIGH = 240  # pixels
_BAR = 22

Point = tuple[float, Mean]


def throughput(groups: Sequence[Group]) -> Markup | None:
    """The figure; None if no job measured its speed."""
    known = [(group, speed) for group in groups if (speed := group.mean("steps_per_second")) is not None]
    if not known:
        return None
    key = _swept_number([group for group, _ in known])
    if key is not None:
        lines: dict[str, list[Point]] = {}
        for group, speed in known:
            rest = ", ".join(f"{k}={v}" for k, v in group.settings.items() if k != key and v)
            lines.setdefault(rest, []).append((float(group.settings[key]), speed))
        if len(lines) <= _MOST_LINES:
            return _curves(key, {rest: sorted(points, key=lambda p: p[0]) for rest, points in lines.items()})
    return _bars(known)


def _swept_number(groups: Sequence[Group]) -> str | None:
    """The key with the most different numbers as values; None if no key has more than one."""
    counts = {}
    for key in groups[0].settings:
        values = {group.settings[key] for group in groups}
        if len(values) > 1 and all(_is_number(value) for value in values):
            counts[key] = len(values)
    return max(counts, key=lambda key: counts[key]) if counts else None


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < 1e100
    except ValueError:
        return False


def _bars(known: Sequence[tuple[Group, Mean]]) -> Markup:
    drawn = known[:MOST]
    scale = Scale((speed.mean for _, speed in drawn), from_zero=True)
    rows: list[Strip] = []
    for group, speed in drawn:
        start, end = sorted((scale.share(0), scale.share(speed.mean)))
        bar = tag(
            "rect", x=f"{100 * start:.2f}%", y=4, width=f"{100 * (end - start):.2f}%", height=_BAR - 8, class_="bar"
        )
        label = group.label()
        rows.append((label, join(bar), str(speed), f"{label}: {speed} steps per second"))
    return strips(rows, scale, _BAR, "steps/s", len(known))


def _curves(key: str, lines: dict[str, list[Point]]) -> Markup:
    """Curves over the swept number, from zero upwards, with the spread over seeds as a stroke through each point."""
    points = [point for line in lines.values() for point in line]
    across = Scale((x for x, _ in points), may_be_log=True)
    up = Scale((speed.mean + (speed.spread or 0) for _, speed in points), from_zero=True)
    body: list[Markup] = []
    for tick in up.ticks:
        body.append(tag("line", x1="0%", x2="100%", y1=_y(up, tick), y2=_y(up, tick)))
    for tick in across.ticks:
        body.append(tag("line", x1=percent(across, tick), x2=percent(across, tick), y1=0, y2=_HIGH))
    drawn = [tag("g", *body, class_="grid")]
    drawn += [_line(line, across, up, i) for i, line in enumerate(lines.values())]
    left = [tag("text", up.label(t), x="100%", dx=-8, y=_y(up, t) + 4, text_anchor="end") for t in up.ticks]
    below = [tag("text", across.label(t), x=percent(across, t), y=16, text_anchor="middle") for t in across.ticks]
    words = "; ".join(
        f"{rest or 'steps per second'}: " + ", ".join(f"{speed} at {number(x)}" for x, speed in line)
        for rest, line in lines.items()
    )
    plot = tag(
        "div",
        tag("svg", *left, height=_HIGH, class_="left", aria_hidden="true"),
        tag("svg", *drawn, height=_HIGH, role="img", aria_label=f"steps per second over {key}. {words}"),
        tag("svg", *below, height=20, class_="below", aria_hidden="true"),
        tag("span", f"{key}{' (logarithmic)' if across.log else ''}", class_="unit"),
        class_="curves",
    )
    return plot if list(lines) == [""] else join(_legend(list(lines)), plot)


def _line(line: Sequence[Point], across: Scale, up: Scale, i: int) -> Markup:
    places = [(percent(across, x), _y(up, speed.mean)) for x, speed in line]
    parts = [tag("line", x1=x1, y1=y1, x2=x2, y2=y2) for (x1, y1), (x2, y2) in itertools.pairwise(places)]
    for (x, y), (_, speed) in zip(places, line, strict=True):
        spread = speed.spread or 0
        parts.append(
            tag(
                "line",
                x1=x,
                x2=x,
                y1=_y(up, max(speed.mean - spread, up.low)),
                y2=_y(up, speed.mean + spread),
                class_="spread",
            )
        )
        parts.append(tag("circle", tag("title", f"{speed} steps/s"), cx=x, cy=y, r=4))
    return tag("g", *parts, class_=f"line c{i}")


def _legend(names: Sequence[str]) -> Markup:
    entries = [
        tag("li", tag("span", class_=f"swatch c{i}", aria_hidden="true"), name or "default")
        for i, name in enumerate(names)
    ]
    return tag("ul", *entries, class_="legend")


def _y(up: Scale, value: float) -> float:
    return round(_HIGH * (1 - up.share(value)), 1)

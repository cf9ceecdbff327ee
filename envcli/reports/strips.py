"""A line for each group over a common axis: labels and numbers as text, and a drawing as wide as the page between them.

Places along the axis are percentages and heights are pixels, so text keeps its size and dots stay round on any screen.
"""

from __future__ import annotations

from collections.abc import Sequence

from envcli.reports.markup import Markup, join, tag
from envcli.reports.scale import Scale

__all__ = ["MOST", "Strip", "percent", "strips"]

MOST = 60  # lines in one figure; a table is better for more

Strip = tuple[str, Markup, str, str]
"""The label, the drawing, the number, and the drawing in words."""


def strips(rows: Sequence[Strip], scale: Scale, height: int, unit: str, count: int) -> Markup:
    """The list of lines, and below it the axis with its ``unit``; and that they are the first of ``count``, if so."""
    lines = [join(tag("line", x1=percent(scale, t), x2=percent(scale, t), y1=0, y2=height)) for t in scale.ticks]
    grid = tag("g", *lines, class_="grid")
    items = []
    for label, drawing, value, words in rows:
        picture = tag("svg", grid, drawing, role="img", aria_label=words, height=height)
        items.append(tag("li", tag("span", label, class_="label"), picture, tag("span", value, class_="value")))
    marks = [
        tag("text", scale.label(t), x=percent(scale, t), y=13, text_anchor=_anchor(i, len(scale.ticks)))
        for i, t in enumerate(scale.ticks)
    ]
    axis = tag("svg", *marks, height=18)
    under = tag("div", tag("span", unit, class_="label"), axis, tag("span"), class_="axis", aria_hidden="true")
    left_out = f"The first {len(rows)} of {count}; all are in the table below."
    note = [tag("p", left_out, class_="faint")] if count > len(rows) else []
    return join(tag("div", tag("ul", *items), under, class_="strips"), *note)


def percent(scale: Scale, value: float) -> str:
    """The place of a value, as a percentage of the width."""
    return f"{100 * scale.share(value):.2f}%"


def _anchor(i: int, count: int) -> str:
    return "start" if i == 0 else "end" if i == count - 1 else "middle"

"""A sweep of measurements as a picture: speed against the swept value, with the line of perfect scaling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["Point", "drawn", "points"]

Point = tuple[float, float, float, float]
"""The swept value, then the speed: its median and its quartiles."""

_GROWS_WITH = ("num_envs", "num_workers")  # keys where twice as many should be twice as fast
_WIDE, _HIGH, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 420, 84, 24, 48, 52  # pixels
_INK, _FAINT, _OURS = "#333", "#ddd", "#1f6feb"


def points(jobs: Sequence[Mapping[str, Any]]) -> tuple[str, list[Point]] | None:  # Any: what the run folders hold
    """The swept key and a point for each job of ``envcli bench`` that finished, in order; None if there is no curve.

    There is one if a single key was swept, over at least two numbers.
    """
    done = [job for job in jobs if job["state"] == "finished" and "speed" in job["metrics"]]
    keys = {key for job in done for key in job["overrides"]}
    swept = [key for key in sorted(keys) if len({job["overrides"].get(key) for job in done}) > 1]
    if len(swept) != 1:
        return None
    found = []
    for job in done:
        speed = job["metrics"]["speed"]
        try:
            found.append((float(job["overrides"][swept[0]]), speed["median"], speed["low"], speed["high"]))
        except (KeyError, ValueError):
            return None
    return swept[0], sorted(found)


def drawn(title: str, key: str, found: Sequence[Point]) -> str:
    """The picture as a self-contained SVG."""
    ideal = key.rpartition(".")[2] in _GROWS_WITH and found[0][0] > 0
    most_x, most_y = max(p[0] for p in found), max(p[3] for p in found)
    step_x, step_y = _step(most_x), _step(most_y)
    wide, high = most_x * 1.03, step_y * math.ceil(most_y / step_y * 1.0001)

    def x(value: float) -> float:
        return round(_LEFT + (_WIDE - _LEFT - _RIGHT) * value / wide, 1)

    def y(value: float) -> float:
        return round(_HIGH - _BOTTOM - (_HIGH - _TOP - _BOTTOM) * value / high, 1)

    parts = [_text(_LEFT, 26, title, "start", 16)]
    for i in range(round(high / step_y) + 1):
        parts.append(_line(x(0), y(i * step_y), x(wide), y(i * step_y), _FAINT))
        parts.append(
            _text(_LEFT - 8, y(i * step_y) + 4, f"{i * step_y:,.4g}" if step_y < 1 else f"{i * step_y:,.0f}", "end")
        )
    for i in range(math.floor(wide / step_x) + 1):
        parts.append(_text(x(i * step_x), _HIGH - _BOTTOM + 20, f"{i * step_x:g}", "middle"))
    parts.append(_text((_LEFT + _WIDE - _RIGHT) / 2, _HIGH - 10, key, "middle"))
    if ideal:
        slope = found[0][1] / found[0][0]
        until = min(wide, high / slope)
        parts.append(_line(x(0), y(0), x(until), y(slope * until), _INK, "stroke-dasharray='4 4'"))
        parts.append(_text(x(until) - 6, y(slope * until) + 14, "ideal", "end"))
    for value, _, low, top in found:
        parts.append(_line(x(value), y(low), x(value), y(top), _OURS, "stroke-width='2'"))
    path = " ".join(f"{x(value)},{y(median)}" for value, median, _, _ in found)
    parts.append(f"<polyline points='{path}' fill='none' stroke='{_OURS}' stroke-width='2'/>")
    parts += [f"<circle cx='{x(value)}' cy='{y(median)}' r='4' fill='{_OURS}'/>" for value, median, _, _ in found]
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDE}' height='{_HIGH}' font-family='sans-serif'>"
    return "\n".join([head, "<rect width='100%' height='100%' fill='white'/>", *parts, "</svg>", ""])


def _step(most: float) -> float:
    """A round distance between ticks, so that there are four to ten.

    >>> _step(16), _step(97000)
    (2.0, 10000.0)
    """
    rough = max(most, 1e-9) / 10
    scale = 10.0 ** math.floor(math.log10(rough))
    return next(scale * n for n in (1, 2, 5, 10) if scale * n >= rough)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' {more}/>"


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return f"<text x='{x}' y='{y}' text-anchor='{anchor}' font-size='{size}' fill='{_INK}'>{escape(text)}</text>"

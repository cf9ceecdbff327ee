"""The result of a search for the best setting: as data, as a table, and as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from envcli.bench import plot
from envcli.bench.report import percent, with_spread
from envcli.bench.workload import Workload
from envcli.terminal.answer import number, three_digits
from envcli.terminal.table import empty_table
from envcli.tuning.search import Finalist, Tuned
from envcli.tuning.setting import Setting

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["as_data", "curve", "table"]

Data = dict[str, Any]  # Any: what JSON can hold


def as_data(found: Tuned, work: Workload) -> Data:
    """The result as JSON can hold it, including raw samples."""
    assert found.best is not None
    finalists: list[Data] = [
        {
            "setting": asdict(one.setting),
            "speed": with_spread(one.speed, len(one.samples)),
            "fastest_is": with_spread(one.behind, len(one.samples)),
            "samples": [asdict(sample) for sample in one.samples],
        }
        for one in found.finalists
    ]
    return {
        "typed": asdict(found.typed),
        "best": {
            "setting": asdict(found.best),
            "overrides": found.best.words(work),
            "yaml": found.best.yaml(work),
            "times_as_fast_as_typed": _gain(found),
        },
        "finalists": finalists,
        "looks": [{"setting": asdict(one), "steps_per_second": speed} for one, speed in found.looks.items()],
        "left_out": found.left_out,
        "compared": found.compared,
        "seconds": found.seconds,
    }


def _gain(found: Tuned) -> float | None:
    behind = {one.setting: one.behind.median for one in found.finalists}  # the fastest, round by round
    return behind[found.typed] / behind[found.best] if found.best in behind and found.typed in behind else None


def table(title: str, found: Tuned, work: Workload, below: Sequence[str] = ()) -> RenderableType:
    """A row for each setting, those that were compared first; then the best one, to type or to paste."""
    from rich.console import Group
    from rich.text import Text

    numbers = ("steps/s", "±", "the fastest is")
    drawn = empty_table("setting", *numbers, "", right=numbers, title=title)
    for one in found.finalists:
        ahead = f"{three_digits(one.behind.median)}x ±{percent(one.behind.spread)}" if one.behind.median != 1 else ""
        is_best = found.compared and one.setting == found.best
        mark = Text("best", "green") if is_best else Text("as typed" * (one.setting == found.typed))
        spread = percent(one.speed.spread) if len(one.samples) > 1 else ""
        drawn.add_row(Text(str(one.setting)), number(round(one.speed.median)), spread, ahead, mark)
    drawn.add_section()
    finals = {one.setting for one in found.finalists}
    for setting, speed in found.looks.items():
        if setting not in finals:
            shown = "-" if speed is None else number(round(speed))
            mark = Text("cannot be built" if speed is None else "tried once")
            drawn.add_row(Text(str(setting)), shown, "", "", mark, style="dim")
    return Group(drawn, *map(Text, [*_said(found), *below, *_best(found, work)]))


def _said(found: Tuned) -> list[str]:
    looked = "1 setting" if len(found.looks) == 1 else f"{len(found.looks)} settings"
    compared = len(found.finalists) if len(found.finalists) > 1 else "none"
    lines = [
        f"{looked} tried, {compared} of them compared in turn, "
        f"in {found.seconds:.0f} s; skipped for lack of time: {', '.join(found.left_out) or 'none'}"
    ]
    fastest = found.finalists[0]
    if found.best != fastest.setting:
        lines.append(f"{fastest.setting}: not clearly faster than {found.best}, which is simpler")
    return lines


def _best(found: Tuned, work: Workload) -> list[str]:
    assert found.best is not None
    if not found.compared:
        return ["best: unknown, as there was no time to compare. Allow more time: budget=SECONDS"]
    if found.best == found.typed:
        return [f"best: as typed, {found.typed}"]
    gain = _gain(found)
    times = "" if gain is None else f", {three_digits(gain)} times as fast as typed"
    yaml = [f"    {line}" for line in found.best.yaml(work).splitlines()]
    words = " ".join(found.best.words(work))
    pasted = "or save it as a preset, my_conf/experiment/fast.yaml:"
    return [f"best: {found.best}{times}", f"type:  {words}", pasted, *yaml]


def curve(title: str, found: Tuned) -> str | None:
    """SVG of speed against the number of envs, with the workers of the fastest; None if there are too few points."""
    exact: dict[Setting, Finalist] = {one.setting: one for one in found.finalists}
    speeds = {one: speed for one, speed in found.looks.items() if one.kind == "processes" and speed is not None}
    if not speeds:
        return None
    top = max(speeds, key=lambda one: speeds[one])
    shown = sorted(
        (one for one in speeds if (one.workers, one.moved) == (top.workers, top.moved)), key=lambda one: one.envs
    )
    points = []
    for one in shown:
        speed = speeds[one]
        known = exact[one].speed if one in exact else None
        points.append((float(one.envs), *((known.median, known.low, known.high) if known else (speed,) * 3)))
    if len(points) < 2:
        return None
    return plot.drawn(f"{title}: steps per second in {top.workers} workers", "parallel.num_envs", points)

"""The parts of a step as a table with bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from envcli.bench.report import percent
from envcli.clocks.parts import MEANING, WAITING
from envcli.profile.breakdown import Breakdown
from envcli.terminal.answer import number, three_digits
from envcli.terminal.table import empty_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["below", "table"]

_WIDE = 24  # characters of a full bar
_DOUBTFUL = 0.1  # of a step


def table(title: str, found: Breakdown, under: Sequence[str] = ()) -> RenderableType:
    """A row for each part, then the effect of the clocks, and the lines ``under``."""
    from rich.console import Group
    from rich.text import Text

    several = "" if found.envs == 1 else f" of all {found.envs} envs"
    speed = number(round(found.envs * 1e6 / found.us))
    said = f"{title}: where the {three_digits(found.us)} us of a step{several} go ({speed} steps/s)"
    drawn = empty_table("where", "us", "share", "", "", right=("us", "share"), title=said)
    drawn.columns[-1].style = "dim"
    for column in found.columns:
        if len(found.columns) > 1:
            drawn.add_section()
            drawn.add_row(Text(column.name, "bold"), style="bold")
        for part, us in column.parts.items():
            _row(drawn, part, us, found)
            if part == WAITING:
                _of_waiting(drawn, us, found)
        if column is found.columns[0]:
            drawn.add_row("not accounted for", _us(found.unaccounted), percent(found.unaccounted / found.us))
            drawn.add_section()
            drawn.add_row(Text("a step", "bold"), Text(_us(found.us), "bold"), Text("100 %", "bold"))
    return Group(drawn, *map(Text, [*below(found), *under]))


def _row(drawn: Table, part: str, us: float, found: Breakdown) -> None:
    from rich.bar import Bar
    from rich.text import Text

    share = max(us / found.us, 0.0)
    bar = Bar(1.0, 0.0, min(share, 1.0), width=_WIDE, color="cyan")
    drawn.add_row(Text(part), _us(us), percent(share), bar, Text(MEANING.get(part, "")))


def _of_waiting(drawn: Table, us: float, found: Breakdown) -> None:
    said = {"all": "while all of them work", "some": "for the slowest", "none": "while none works: messages"}
    for who, share in found.of_waiting.items():
        drawn.add_row(f"  {said[who]}", _us(us * share), percent(us * share / found.us))


def below(found: Breakdown) -> list[str]:
    """How reliable the numbers are, in lines below the table."""
    missed = abs(found.unaccounted) / found.us
    doubt = "note: much is not accounted for, as the machine was too noisy or a step too short: raise repetitions="
    varies = "" if found.spread is None else f", which varies by ±{percent(found.spread)}"
    return [
        f"clocks: {found.calls:.3g} timed calls per step, whose {three_digits(found.clocks_us)} us are subtracted; "
        f"with them a step takes {found.slowdown:.3g} times as long",
        f"the parts sum to {percent(1 - found.unaccounted / found.us)} of a step without clocks{varies}",
        *([doubt] if missed > _DOUBTFUL else []),
    ]


def _us(value: float) -> str:
    return three_digits(value) if abs(value) >= 0.005 else "0"

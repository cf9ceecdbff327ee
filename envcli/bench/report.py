"""The results of a measurement: as data, and as a table for people."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from envcli.bench import machine
from envcli.bench.sample import Sample, Summary, ratios, speeds, summary
from envcli.terminal.answer import number, three_digits
from envcli.terminal.table import empty_table
from envcli.vocabulary.schema import in_one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["below", "compared", "notes", "percent", "table", "title", "with_spread"]

Data = dict[str, Any]  # Any: what JSON can hold


def compared(
    samples: Mapping[str, Sequence[Sample]], subject: str, clock: str, frames_per_step: Mapping[str, int | None]
) -> dict[str, Data]:
    """Name -> speed, cost of a step, how many times as fast the subject is, and the raw samples."""
    return {name: _one(found, samples[subject], clock, frames_per_step[name]) for name, found in samples.items()}


def _one(found: Sequence[Sample], ours: Sequence[Sample], clock: str, frames_per_step: int | None) -> Data:
    speed = summary(speeds(found, clock))
    ratio = {name: with_spread(ratios(ours, found, name), len(found)) for name in ("wall", "cpu")}
    return {
        "steps_per_second": with_spread(speed, len(found)),
        "frames_per_second": None if frames_per_step is None else speed.median * frames_per_step,
        "wall_us_per_step": statistics.median(1e6 * s.wall / s.steps for s in found),
        "cpu_us_per_step": statistics.median(1e6 * s.cpu / s.steps for s in found),
        "subject_is": ratio,
        "samples": [asdict(sample) for sample in found],
    }


def with_spread(found: Summary, count: int) -> Data:
    """The summary as JSON can hold it. ``count`` is the number of values; a single one has no spread."""
    return {**asdict(found), "spread": found.spread if count > 1 else None}


def notes(result: Data) -> list[str]:
    """What the numbers do not show."""
    found, clock = [], result["clock"]
    for name, data in result["contenders"].items():
        ratio = data["subject_is"][clock]
        if name != result["subject"] and not Summary(ratio["median"], ratio["low"], ratio["high"]).clear:
            found.append(
                f"{result['subject']} against {name}: the difference is smaller than the spread. They may be equally "
                "fast, or the machine too noisy: raise repetitions=, or try again when it is quieter"
            )
    return [*found, *machine.notes(result["machine"])]


def table(result: Data) -> RenderableType:
    """A row for each contender; below, how and on what it was measured."""
    from rich.console import Group
    from rich.text import Text

    several = any((data["frames_per_step"] or 1) > 1 for data in result["contenders"].values())
    numbers = ["steps/s", "±", *(["frames/s"] if several else []), "us/step", "CPU us/step"]
    numbers += [f"{result['subject']} is", "ready in", "memory"]
    drawn = empty_table("contender", *numbers, right=numbers, title=title(result))
    for name, data in result["contenders"].items():
        speed = data["steps_per_second"]
        cells = [number(round(speed["median"])), _spread(speed)]
        cells += [_whole(data["frames_per_second"])] if several else []
        cells += [three_digits(data[f"{name}_us_per_step"]) for name in ("wall", "cpu")]
        cells += [_ratio(data, result) if name != result["subject"] else ""]
        cells += [f"{data['start_seconds']:.1f} s", _memory(data["memory"])]
        drawn.add_row(Text(name), *map(Text, cells))
    return Group(drawn, *map(Text, below(result)))


def _whole(value: float | None) -> str:
    return number(None if value is None else round(value))


def percent(share: float) -> str:
    """A share as a percentage, for people.

    >>> percent(0.0234), percent(0.2), percent(1.021)
    ('2.3 %', '20 %', '102 %')
    """
    return f"{100 * share:.0f} %" if abs(share) >= 0.095 else f"{100 * share:.2g} %"


def _ratio(data: Data, result: Data) -> str:
    ratio = data["subject_is"][result["clock"]]
    spread = f" ±{_spread(ratio)}" if _spread(ratio) else ""
    return f"{three_digits(ratio['median'])}x{spread}"


def _spread(found: Data) -> str:
    return "" if found["spread"] is None else percent(found["spread"])


def _memory(found: Data) -> str:
    if found["main"] is None:
        return "-"
    others = [size for size in found["others"] if size is not None]
    each = f" + {len(others)} x {max(others) / 1e6:.0f}" if others else ""
    return f"{found['main'] / 1e6:.0f}{each} MB"


def title(result: Data) -> str:
    """What was measured."""
    name, envs = result["name"], result["envs"]
    if result["parallel"] == "none":
        return f"{name}, {envs} envs at once" if envs > 1 else f"{name}, one env"
    where = f"in {result['workers']} workers" if result["parallel"] in ("processes", "ray") else "one after the other"
    return f"{name}, {envs} envs {where}"


def below(result: Data) -> list[str]:
    """How it was measured, on what, and reasons not to trust it."""
    settings, threads = result["settings"], result["settings"]["threads"]
    changed = ", ".join(f"{name}={in_one_line(value)}" for name, value in (result.get("variant") or {}).items())
    variant = [f"variant: {result['subject']} with {changed}"] if changed else []
    clock = "CPU time, summed over all processes" if result["clock"] == "cpu" else "wall time"
    one = settings["repetitions"] == 1
    spread = "" if one else "medians ± half the interquartile range; "
    return [
        *variant,
        f"{settings['repetitions']} repetition{'' if one else 's'} in turn, "
        f"each of {result['steps']:,} steps per env, repeated for {settings['seconds']:g} s",
        f"{spread}speeds and ratios by {clock}",
        f"{threads} thread{'s' if threads > 1 else ''} per operation; "
        "memory: peak of the process + peak of each one it started",
        machine.line(result["machine"]),
        *(f"note: {note}" for note in result["notes"]),
    ]

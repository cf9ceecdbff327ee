"""Measure the subject in turn with its peers and, if asked, compare with an earlier run or look at its layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcli.bench import report
from envcli.bench.baseline import Baseline
from envcli.bench.measurement import Measured, Measurement
from envcli.commands.bench import work
from envcli.commands.bench.config import SHARED, Config
from envcli.errors import EnvError
from envcli.folders.json_file import write_json
from envcli.folders.run_folder import RunFolder
from envcli.profile import bars, breakdown
from envcli.profile.advice import advice
from envcli.profile.breakdown import Breakdown
from envcli.terminal.answer import answer, say_kept_in
from envcli.terminal.status_line import status_line

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["compare"]


def compare(cfg: Config, folder: RunFolder) -> float:
    """Measure, write, report. Returns the subject's env steps per second.

    Raises:
        EnvError: a contender failed on the way.
        EnvcliError: a step takes too much longer than in the baseline.
    """
    baseline = Baseline(Path(cfg.baseline)) if cfg.baseline is not None else None
    result = work.described(cfg, folder)
    if baseline is not None:
        baseline.require_same(result)
    measured = _measured(cfg, folder)
    result |= _compared(cfg, measured)
    parts = _parts(cfg, measured)
    if parts is not None:
        result["profile"] = {**parts.as_data(), "advice": advice(parts, work.workload(cfg))}
    result["notes"] = report.notes(result)
    if baseline is not None:
        result["slowdown"] = baseline.slowdown(result)
        result["notes"] += baseline.notes(result)
    write_json(folder.path / "bench.json", result)
    folder.write_metrics(_metrics(cfg, result))
    if not folder.part_of_sweep:  # the table at the end of the sweep shows all jobs
        answer(result, lambda: _drawn(result, parts), cfg.json)
        say_kept_in(folder.path, cfg.json)
    if baseline is not None:
        baseline.judge(result, cfg.max_slowdown)
    if result["failed"]:
        raise EnvError("; ".join(result["failed"].values()))
    speed: float = result["contenders"][cfg.subject]["steps_per_second"]["median"]
    return speed


def _measured(cfg: Config, folder: RunFolder) -> Measured:
    """Let the contenders take turns."""
    logs = folder.path / "logs"
    logs.mkdir()
    given = {name: getattr(cfg, name) for name in SHARED if name != "seed"}
    with status_line() as say:
        measurement = Measurement(
            cfg.subject, work.workload(cfg), work.variant(cfg), cfg.peers or (), cfg.profile, **given
        )
        return measurement.run(logs, say)


def _compared(cfg: Config, measured: Measured) -> dict[str, Any]:  # Any: what JSON can hold
    """What ``bench.json`` says of the contenders."""
    frames = {name: about["frames_per_step"] for name, about in measured.about.items()}
    contenders = report.compared(measured.samples, cfg.subject, cfg.clock, frames)
    return {
        "envs": measured.envs,
        "frames_per_step": frames[cfg.subject],
        "contenders": {name: {**data, **measured.about[name]} for name, data in contenders.items()},
        "left_out": measured.left_out,
        "failed": measured.failed,
    }


def _parts(cfg: Config, measured: Measured) -> Breakdown | None:
    """The parts of a step of the subject; None without ``profile``."""
    clocked, readings = measured.clocked
    if not clocked:
        return None
    paths = [f"{place}.{name}" for place in ("transforms", "outer_transforms") for name in getattr(cfg, place)]
    return breakdown.broken_down(measured.samples[cfg.subject], clocked, readings, measured.envs, paths)


def _metrics(cfg: Config, result: dict[str, Any]) -> dict[str, Any]:  # Any: see above
    found = result["contenders"][cfg.subject]["steps_per_second"]
    ratios = {name: data["subject_is"][cfg.clock]["median"] for name, data in result["contenders"].items()}
    about = {"name": cfg.env_name, "steps_per_second": found["median"], "speed": found}
    return {**about, "subject_is": ratios, "seed": cfg.seed}


def _drawn(result: dict[str, Any], parts: Breakdown | None) -> RenderableType:  # Any: see above
    """The contenders, if there are several, and the parts of a step."""
    from rich.console import Group

    if parts is None:
        return report.table(result)
    drawn = bars.table(report.title(result), parts, [*report.below(result), result["profile"]["advice"]])
    return Group(report.table(result), "", drawn) if len(result["contenders"]) > 1 else drawn

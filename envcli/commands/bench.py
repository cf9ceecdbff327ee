"""Measure how fast an env runs, next to others doing the same work.

Contenders take turns, each in its own process, with the same actions where possible. The table shows medians, spread
and pairwise ratios; bench.json keeps all results, raw samples included. A multirun plots speed against the swept key,
and returns the speed to the sweeper.

  envcli bench env=cartpole
  envcli bench env=cartpole 'peers=[native,gymnasium_sync,sb3,torchrl]'
  envcli bench env=pong transforms=atari parallel=processes parallel.num_envs=8
  envcli bench -m env=cartpole parallel=processes parallel.num_envs=1,2,4,8
  envcli bench env=pong transforms=atari 'variant={transforms: [none]}'
  envcli bench env=pong transforms=atari profile=true
  envcli bench env=pong transforms=atari tune=true
  envcli bench baseline=outputs/bench/CartPole-v1/... max_slowdown=1.1
  envcli bench suite=readme strict=true
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from envcli.errors import ConfigError, EnvcliError, EnvError, UnknownName
from envcli.folders.json_file import write_json
from envcli.folders.run_folder import RunFolder
from envcli.override import parsed
from envcli.terminal.answer import answer, relative_path
from envcli.vocabulary import registry
from envcli.vocabulary.schema import WORKLOAD, EnvConfig, at_least, key

__all__ = ["KEEPS", "Config", "run"]

KEEPS = True

_OF_A_SUITE = ("repetitions", "warm_up", "seconds", "threads", "timeout", "seed")  # what all its workloads share
_BUDGET = 60.0  # seconds of a search
_OURS = ("envcli", "envcli_memmap", "envcli_step")


@dataclass
class Config(EnvConfig):
    """What ``envcli bench`` reads."""

    suite: dict[str, Any] = field(default_factory=dict)  # Any: see `envcli.bench.suite`
    subject: str = key("envcli", "the contender to compare with the others: envcli, envcli_step or any of the peers")
    peers: list[str] | None = key(  # noqa: RUF009 - it is a field
        None,
        "contenders to compare with; null: native only. Also: native_processes, by_hand, envcli_step, envcli_memmap, "
        "gymnasium_sync, gymnasium_async, gymnasium_vector, sb3, torchrl, torchrl_collector, ale_vector, envpool",
    )
    # Any: a dict; but to one that a schema has OmegaConf lets nobody add
    variant: Any = key(  # noqa: RUF009 - it is a field
        None, "keys that change the workload, to time the subject on both in turn: 'variant={max_steps: 10}'"
    )
    of_variant: dict[str, Any] = field(default_factory=dict)  # the keys of that work
    repetitions: int = key(9, "timed rounds, in which each contender runs once")
    warm_up: int = key(1, "untimed rounds before those")
    seconds: float = key(0.3, "minimum duration of one repetition in seconds")
    clock: str = key("wall", "time that speeds and ratios are computed from: wall, or cpu (summed over all processes)")
    threads: int = key(1, "threads that one torch or numpy operation may use")
    timeout: float = key(600.0, "seconds allowed for a contender to get ready, and for each repetition")
    baseline: str | None = key(None, "an earlier run of envcli bench to compare with: its folder, or its bench.json")
    max_slowdown: float = key(1.1, "with baseline: fail if a step takes more than this many times as long")
    strict: bool = key(
        False, "with suite: fail if a ratio is missed or a workload fails, but not if a library is missing"
    )
    tune: bool = key(False, "search for the numbers of envs and processes with the most steps per second")
    budget: float | None = key(
        None, "with tune: seconds for the search; one measurement of the typed setting may overrun it; null: 60"
    )
    profile: bool = key(False, "show where the time of a step goes, layer by layer, and what to change first")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("repetitions", self.repetitions, 1)
        at_least("warm_up", self.warm_up, 0)
        at_least("threads", self.threads, 1)
        for name in ("seconds", "timeout", "max_slowdown", "budget"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"{name}: found {getattr(self, name)}, expected a number of at least 0.")
        if self.clock not in ("wall", "cpu"):
            raise UnknownName("clock", self.clock, ("wall", "cpu"))
        if not isinstance(self.variant, Mapping | None):
            raise ConfigError(f"variant: found {self.variant!r}, expected keys and values: 'variant={{max_steps: 10}}'")
        if self.break_when_any_done:
            raise ConfigError(
                "break_when_any_done: found true, but a benchmark continues after an episode ends. Leave it out."
            )
        if self.peers is None:
            self.peers = [] if self.profile or self.variant else ["native"]
        for name in (self.subject, *self.peers):
            if name not in registry.members("contenders"):
                raise UnknownName("contender", name, registry.members("contenders"), "(peers)")
        for name in ("profile", "tune"):
            if getattr(self, name) and self.subject not in _OURS:
                raise ConfigError(f"{name}: {self.subject} is not from envcli. Expected subject={' or '.join(_OURS)}.")
        if self.budget is not None and not self.tune:
            raise ConfigError(
                "budget: applies only to a search. Add tune=true; or for a shorter run: repetitions=3 seconds=0.1"
            )
        if self.tune and (self.profile or self.baseline is not None):
            raise ConfigError("tune: measures settings other than those typed. Leave profile and baseline out.")
        if (self.tune or self.profile) and self.parallel.get("type") == "ray":
            raise ConfigError("tune and profile work only on local processes. Type: parallel=processes")
        if self.tune and self.env_list:
            raise ConfigError("tune: env_list fixes the number of envs. Leave env_list out.")


def run(cfg: Config, folder: RunFolder) -> float | None:
    """Measure, write, report. Returns the subject's env steps per second."""
    if cfg.suite:
        _suite(cfg, folder)
        return None
    if cfg.tune:
        return _tune(cfg, folder)
    from envcli.bench import report
    from envcli.bench.baseline import Baseline

    baseline = Baseline(Path(cfg.baseline)) if cfg.baseline is not None else None
    result = _settings(cfg, folder)
    if baseline is not None:
        baseline.require_same(result)
    parts = _measure(cfg, folder, result)
    result["notes"] = report.notes(result)
    if baseline is not None:
        result["slowdown"] = baseline.slowdown(result)
        result["notes"] += baseline.notes(result)
    write_json(folder.path / "bench.json", result)
    found = result["contenders"][cfg.subject]["steps_per_second"]
    speed: float = found["median"]
    ratios = {name: data["subject_is"][cfg.clock]["median"] for name, data in result["contenders"].items()}
    about = {"name": cfg.env_name, "steps_per_second": speed, "speed": found}
    folder.write_metrics({**about, "subject_is": ratios, "seed": cfg.seed})
    if not folder.part_of_sweep:  # the table at the sweep's end says it for all jobs
        answer(result, lambda: _drawn(result, parts), cfg.json)
        _kept_in(folder, cfg.json)
    if baseline is not None:
        baseline.judge(result, cfg.max_slowdown)
    if result["failed"]:
        raise EnvError("; ".join(result["failed"].values()))
    return speed


def _drawn(result: dict[str, Any], parts: Any) -> Any:  # Any: what JSON can hold, a Breakdown; what rich can print
    """The contenders, if there are several, and the parts of a step."""
    from rich.console import Group

    from envcli.bench import report
    from envcli.profile import bars

    if parts is None:
        return report.table(result)
    drawn = bars.table(report.title(result), parts, [*report.below(result), result["profile"]["advice"]])
    return Group(report.table(result), "", drawn) if len(result["contenders"]) > 1 else drawn


def _settings(cfg: Config, folder: RunFolder) -> dict[str, Any]:  # Any: what JSON can hold
    """What the result says of the work before it is done."""
    from envcli.bench.machine import describe

    work = _workload(cfg)
    return {
        "name": cfg.env_name,
        "parallel": work.kind,
        "envs": work.envs,
        "workers": work.workers,
        "steps": work.steps,
        "subject": cfg.subject,
        "variant": cfg.variant,
        "clock": cfg.clock,
        "settings": {name: getattr(cfg, name) for name in _OF_A_SUITE},
        "workload": {**work.cfg, **{name: folder.config[name] for name in WORKLOAD if name in folder.config}},
        "machine": describe(),
    }


def _workload(cfg: Config, variant: bool = False) -> Any:  # Any: a Workload, which is imported late
    from envcli.bench.workload import Workload

    keys = {name: cfg.of_variant[name] if variant else getattr(cfg, name) for name in WORKLOAD}
    keys["seed"] = cfg.seed if keys["seed"] is None else keys["seed"]
    return Workload({**keys, "allow_imports": cfg.allow_imports}, keys["max_steps"], keys["seed"])


def _measure(cfg: Config, folder: RunFolder, result: dict[str, Any]) -> Any:  # Any: what JSON can hold; a Breakdown
    """Have the contenders take turns; what they gave goes into ``result``. Returns the parts of a step, if wanted."""
    from envcli.bench import report
    from envcli.bench.measurement import Measurement
    from envcli.profile import breakdown
    from envcli.profile.advice import advice

    logs, work = folder.path / "logs", _workload(cfg)
    logs.mkdir()
    variant = _workload(cfg, variant=True) if cfg.variant else None
    given = {name: getattr(cfg, name) for name in _OF_A_SUITE if name != "seed"}
    with _telling() as tell:
        found = Measurement(cfg.subject, work, variant, cfg.peers or (), cfg.profile, **given).run(logs, tell)
    frames = {name: about["frames_per_step"] for name, about in found.about.items()}
    contenders = report.compared(found.samples, cfg.subject, cfg.clock, frames)
    result["envs"], result["frames_per_step"] = found.envs, frames[cfg.subject]
    result["contenders"] = {name: {**data, **found.about[name]} for name, data in contenders.items()}
    result["left_out"], result["failed"] = found.left_out, found.failed
    clocked, readings = found.clocked
    if not clocked:
        return None
    paths = [f"{place}.{name}" for place in ("transforms", "outer_transforms") for name in getattr(cfg, place)]
    parts = breakdown.broken_down(found.samples[cfg.subject], clocked, readings, found.envs, paths)
    result["profile"] = {**parts.as_data(), "advice": advice(parts, work)}
    return parts


def _tune(cfg: Config, folder: RunFolder) -> float:
    """Search, write, report. Returns the env steps per second of the best setting."""
    from envcli.bench import machine
    from envcli.tuning import tune_report
    from envcli.tuning.search import search
    from envcli.tuning.setting import Setting
    from envcli.tuning.trials import Trials

    work = _workload(cfg)
    if work.steps_at_once:
        raise ConfigError(
            f"tune: backend {work.backend.get('type')} steps the whole batch in one call, without processes. "
            "Leave tune out, and sweep over the number of envs: -m parallel.num_envs=8,16,32"
        )
    began, budget = time.monotonic(), _BUDGET if cfg.budget is None else cfg.budget
    logs, about = folder.path / "logs", machine.describe()
    logs.mkdir()
    with _telling() as tell, Trials(cfg.subject, work, logs, cfg.threads, cfg.timeout) as trials:
        found = search(Setting.of(work), about["cores"], trials, budget, tell, began)
    result = {**_settings(cfg, folder), "machine": about, "tune": tune_report.as_data(found, work)}
    write_json(folder.path / "bench.json", result)
    best = found.finalist(found.best).speed
    folder.write_metrics({"name": cfg.env_name, "steps_per_second": best.median, "best": result["tune"]["best"]})
    if drawing := tune_report.curve(cfg.env_name, found):
        (folder.path / "tune.svg").write_text(drawing, encoding="utf-8")
    if not folder.part_of_sweep:
        below = [machine.line(about), *(f"note: {note}" for note in machine.notes(about))]
        answer(result, lambda: tune_report.table(f"{cfg.env_name}: settings", found, work, below), cfg.json)
        _kept_in(folder, cfg.json)
    return best.median


def _suite(cfg: Config, folder: RunFolder) -> None:
    """Each workload by a command of its own.

    Raises `EnvcliError` if ``strict`` and a promise was missed, or could not be measured since its words are wrong.
    """
    from envcli.bench import machine, suite

    known = {"suite", "strict", "json", *_OF_A_SUITE}
    for override in parsed(folder.overrides):
        if override.head not in known and not override.is_about_hydra:
            raise ConfigError(
                f"a suite defines what is measured, so it takes no {str(override)!r}. Leave one of them out."
            )
    settings = [f"{name}={getattr(cfg, name)}" for name in _OF_A_SUITE]
    doors = [item.name for item in fields(Config) if item.metadata.get("typed")]
    about, rows = machine.describe(), list[suite.Row]()
    with _telling() as tell:
        for entry in suite.entries(cfg.suite, doors):
            tell(f"measuring {entry.name}")
            rows += suite.measured(entry, settings, folder.path)
    result = {"machine": about, "rows": [{**asdict(row), "kept": row.kept} for row in rows]}
    write_json(folder.path / "bench.json", result)
    missed = [f"{row.workload} against {row.peer}" for row in rows if row.kept is False]
    failed = [f"{row.workload} against {row.peer}" for row in rows if row.failed]
    folder.write_metrics({"kept": sum(row.kept is True for row in rows), "missed": missed, "failed": failed})
    found = {"missed": missed, "not measured": failed}
    bad = "; ".join(f"{len(of)} of {len(rows)} promises {what}: {', '.join(of)}" for what, of in found.items() if of)
    notes = [*machine.notes(about), *([bad] if failed else [])]
    below = [machine.line(about), *(f"note: {note}" for note in notes)]
    answer(result, lambda: suite.table(rows, below), cfg.json)
    _kept_in(folder, cfg.json)
    if cfg.strict and bad:
        raise EnvcliError(bad)


def _kept_in(folder: RunFolder, as_json: bool) -> None:
    if not as_json:
        print(f"kept in {relative_path(folder.path)}")


@contextlib.contextmanager
def _telling() -> Iterator[Any]:  # Any: a function of the text
    """On a terminal, one line on stderr that says what goes on; a drawing thread would cost what is measured."""
    visible = sys.stderr.isatty()

    def tell(text: str) -> None:
        if visible:
            print(f"\r\x1b[K{text[: os.get_terminal_size(2).columns - 1]}", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        tell("")

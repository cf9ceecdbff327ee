"""Measure how fast an env is, beside others that do the same work.

Contenders take turns, each in a process of its own; shown are medians, spread, and the ratio pair by pair. All take the
same actions where that can be. What was measured, raw samples too, is kept in bench.json. A multirun draws speed
against what is swept, and a sweeper gets the speed.

  envcli bench env=cartpole
  envcli bench env=cartpole 'peers=[native,gymnasium_sync,sb3,torchrl]'
  envcli bench env=pong transforms=atari parallel=processes parallel.num_envs=8
  envcli bench -m env=cartpole parallel=processes parallel.num_envs=1,2,4,8
  envcli bench baseline=outputs/bench/CartPole-v1/... max_slowdown=1.1
  envcli bench suite=readme strict=true
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from envcli import registry
from envcli.answer import answer
from envcli.errors import ConfigError, EnvcliError, EnvError, UnknownName
from envcli.run_folder import RunFolder, near, write_json
from envcli.schema import ONE_ENV, EnvConfig, at_least, key

__all__ = ["Config", "run"]

_OF_A_SUITE = ("repetitions", "warm_up", "seconds", "threads", "timeout", "seed")  # what all its workloads share
_ONE_WORKLOAD = (*ONE_ENV, "parallel", "outer_transforms", "device", "policy", "env_list", "envs", "seed", "max_steps")


@dataclass
class Config(EnvConfig):
    """What ``envcli bench`` reads."""

    suite: dict[str, Any] = field(default_factory=dict)  # Any: see `envcli.bench.suite`
    subject: str = key("envcli", "who is compared with the peers: envcli, envcli_step or any of them")
    peers: list[str] | None = key(  # noqa: RUF009 - it is a field
        None,
        "with whom; null: native alone. Also: envcli_step, gymnasium_sync, gymnasium_async, sb3, torchrl, ale_vector, "
        "envpool",
    )
    repetitions: int = key(9, "rounds that count")
    warm_up: int = key(1, "rounds before them that do not")
    seconds: float = key(0.3, "a repetition takes at least so long")
    clock: str = key("wall", "what speeds and ratios are made of: wall, or cpu (all processes together)")
    threads: int = key(1, "that one operation of torch or numpy may use")
    timeout: float = key(600.0, "seconds that a contender may take to be ready, or for a repetition")
    baseline: str | None = key(None, "a run folder of an earlier envcli bench")
    max_slowdown: float = key(1.1, "with baseline: fail if a step takes more than so many times as long")
    strict: bool = key(False, "with suite: fail if a promise is missed")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("repetitions", self.repetitions, 1)
        at_least("warm_up", self.warm_up, 0)
        at_least("threads", self.threads, 1)
        for name in ("seconds", "timeout", "max_slowdown"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: found {getattr(self, name)}, expected a number of at least 0.")
        if self.clock not in ("wall", "cpu"):
            raise UnknownName("clock", self.clock, ("wall", "cpu"))
        if self.break_when_any_done:
            raise ConfigError(
                "break_when_any_done: found true, but what is measured goes on after an end. Leave it out."
            )
        self.peers = ["native"] if self.peers is None else self.peers
        for name in (self.subject, *self.peers):
            if name not in registry.members("contenders"):
                raise UnknownName("contender", name, registry.members("contenders"), "(peers)")


def run(cfg: Config, folder: RunFolder) -> float | None:
    """Measure, write, report. Returns the subject's env steps per second."""
    if cfg.suite:
        _suite(cfg, folder)
        return None
    from envcli.bench import report
    from envcli.bench.baseline import Baseline

    baseline = Baseline(Path(cfg.baseline)) if cfg.baseline is not None else None
    result = _settings(cfg)
    if baseline is not None:
        baseline.require_same(result)
    _measure(cfg, folder, result)
    result["notes"] = report.notes(result)
    if baseline is not None:
        slowdown = baseline.slowdown(result)
        result["slowdown"] = slowdown
        result["notes"].append(f"a step takes {slowdown:.3g} times as long as in {near(baseline.folder)}")
    write_json(folder.path / "bench.json", result)
    found = result["contenders"][cfg.subject]["steps_per_second"]
    speed: float = found["median"]
    ratios = {name: data["subject_is"][cfg.clock]["median"] for name, data in result["contenders"].items()}
    about = {"name": cfg.env_name, "steps_per_second": speed, "speed": found}
    folder.write_metrics({**about, "subject_is": ratios, "seed": cfg.seed})
    if not folder.part_of_sweep:  # the table at the sweep's end says it for all jobs
        answer(result, lambda: report.table(result), cfg.json)
        _kept_in(folder, cfg.json)
    if baseline is not None:
        baseline.judge(result, cfg.max_slowdown)
    if result["failed"]:
        raise EnvError("; ".join(result["failed"].values()))
    return speed


def _settings(cfg: Config) -> dict[str, Any]:  # Any: what JSON can hold
    """What the result says of the work before it is done."""
    from envcli.bench.machine import describe

    work = _workload(cfg)
    return {
        "name": cfg.env_name,
        "parallel": work.kind,
        "envs": work.envs,
        "workers": work.workers,
        "steps": work.steps,
        "frames_per_step": work.frames_per_step,
        "subject": cfg.subject,
        "clock": cfg.clock,
        "settings": {name: getattr(cfg, name) for name in _OF_A_SUITE},
        "workload": dict(work.cfg),
        "machine": describe(),
    }


def _workload(cfg: Config) -> Any:  # Any: a Workload, which is imported late
    from envcli.bench.workload import Workload

    assert cfg.seed is not None  # drawn by then
    keys = {name: getattr(cfg, name) for name in _ONE_WORKLOAD}
    return Workload({**keys, "allow_imports": cfg.allow_imports}, cfg.max_steps, cfg.seed)


def _measure(cfg: Config, folder: RunFolder, result: dict[str, Any]) -> None:  # Any: what JSON can hold
    """Have the contenders take turns; what they gave goes into ``result``."""
    from envcli.bench import report
    from envcli.bench.lane import Lane, Skipped
    from envcli.bench.race import race

    logs = folder.path / "logs"
    logs.mkdir()
    left_out: dict[str, str] = {}
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack, _telling() as tell:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="envcli-")))
        work, lanes = _workload(cfg), []
        for name in dict.fromkeys((cfg.subject, *(cfg.peers or ()))):
            tell(f"starting {name}")
            try:
                lane = stack.enter_context(Lane(name, work, logs / f"{name}.txt", cfg.threads, cfg.timeout))
            except Skipped as reason:
                if name == cfg.subject:
                    raise ConfigError(f"{name}: {reason}") from reason
                left_out[name] = str(reason)
                tell("")
                print(f"left out: {name}: {reason}", file=sys.stderr)
                continue
            except EnvError as error:
                if name == cfg.subject:
                    raise
                failed[name] = str(error)
                continue
            lanes.append(lane)
            if name == cfg.subject:
                work = lane.actions(scratch / "actions.npy")
        samples = race(lanes, cfg.repetitions, cfg.warm_up, cfg.seconds, tell, failed)
        result["contenders"] = report.compared(samples, cfg.subject, cfg.clock, work.frames_per_step)
        for lane in (lane for lane in lanes if lane.name in samples):
            result["contenders"][lane.name] |= {"start_seconds": lane.start_seconds, "memory": lane.memory()}
    result["left_out"], result["failed"] = left_out, failed


def _suite(cfg: Config, folder: RunFolder) -> None:
    """Each workload by a command of its own; raises `EnvcliError` if ``strict`` and a promise was missed."""
    from envcli.bench import machine, suite

    known = {"suite", "strict", "json", *_OF_A_SUITE}
    for word in folder.overrides:
        name = word.lstrip("+~").split("=")[0].split(".")[0]
        if name not in known and not name.startswith("hydra"):
            raise ConfigError(f"a suite says what is measured, so it takes no {word!r}. Leave one of them out.")
    settings = [f"{name}={getattr(cfg, name)}" for name in _OF_A_SUITE]
    about, rows = machine.describe(), list[suite.Row]()
    with _telling() as tell:
        for entry in suite.entries(cfg.suite):
            tell(f"measuring {entry.name}")
            rows += suite.measured(entry, settings, folder.path)
    result = {"machine": about, "rows": [{**asdict(row), "kept": row.kept} for row in rows]}
    write_json(folder.path / "bench.json", result)
    missed = [f"{row.workload} against {row.peer}" for row in rows if row.kept is False]
    folder.write_metrics({"kept": sum(row.kept is True for row in rows), "missed": missed})
    below = [machine.line(about), *(f"note: {note}" for note in machine.notes(about))]
    answer(result, lambda: suite.table(rows, below), cfg.json)
    _kept_in(folder, cfg.json)
    if cfg.strict and missed:
        raise EnvcliError(f"{len(missed)} of {len(rows)} promises missed: {', '.join(missed)}")


def _kept_in(folder: RunFolder, as_json: bool) -> None:
    if not as_json:
        print(f"kept in {near(folder.path)}")


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

"""Run folders as a sweep leaves them, without running anything."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

EVIL = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\"'&"


def write_run(
    folder: Path,
    state: str = "finished",
    error: str | None = None,
    overrides: tuple[str, ...] = (),
    seed: int = 0,
    command: str = "rollout",
    **metrics: Any,
) -> Path:
    """One run folder; one that finished has the metrics of 20 episodes unless others are given."""
    folder.mkdir(parents=True)
    stamps = {"started": "2026-01-31T12:00:00.000+00:00", "ended": "2026-01-31T12:00:05.000+00:00"}
    status = {"state": state, "error": error, "overrides": list(overrides), **stamps, "pid": 1, "host": "elsewhere"}
    manifest = {"command": command, "argv": [command, "-m", "env=all"], "seed": seed, "versions": {"envcli": "0"}}
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if state == "finished":
        (folder / "metrics.json").write_text(json.dumps(metrics or some_metrics(seed)))
    return folder


def some_metrics(seed: int, level: float = 20.0) -> dict[str, Any]:
    """What a rollout of 20 episodes measures."""
    draw = random.Random(seed)
    returns = sorted(draw.gauss(level, 5.0) for _ in range(20))
    lengths = sorted(draw.randrange(10, 100) for _ in range(20))
    found: dict[str, Any] = {"steps": 1000, "episodes": 20, "steps_per_second": draw.uniform(9e3, 11e3)}
    for name, values in (("return", returns), ("length", lengths)):
        found[f"{name}_mean"] = sum(values) / 20
        found[f"{name}_quantiles"] = values
    return found


def write_sweep(folder: Path, envs: tuple[str, ...] = ("pendulum", "cartpole"), seeds: int = 3, skips: int = 2) -> Path:
    """A multirun over envs, frame skips and seeds; of each env the last job failed, if there is more than one."""
    number = 0
    for env in envs:
        for skip in range(1, skips + 1):
            for seed in range(seeds):
                last = skip == skips and seed == seeds - 1 and seeds > 1
                words = (f"env={env}", f"frame_skip={skip}", f"seed={seed}", "max_steps=1000")
                state, error = ("failed", f"{env} broke down") if last else ("finished", None)
                write_run(folder / f"{number}_{env}", state, error, words, seed)
                number += 1
    return folder

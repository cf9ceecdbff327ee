"""The work that the configuration describes."""

from __future__ import annotations

from typing import Any

from envcli.bench import machine
from envcli.bench.workload import Workload
from envcli.commands.bench.config import SHARED, Config
from envcli.folders.run_folder import RunFolder
from envcli.vocabulary.schema import WORKLOAD

__all__ = ["described", "variant", "workload"]


def workload(cfg: Config) -> Workload:
    """The work for the subject and its peers."""
    return _workload(cfg, {name: getattr(cfg, name) for name in WORKLOAD})


def variant(cfg: Config) -> Workload | None:
    """The other work for the subject; None without ``variant``. It has the same seed, unless it sets its own."""
    return _workload(cfg, cfg.of_variant) if cfg.variant else None


def _workload(cfg: Config, keys: dict[str, Any]) -> Workload:  # Any: what a YAML holds
    seed = cfg.seed if keys["seed"] is None else keys["seed"]
    assert seed is not None  # drawn by then
    work = {**{name: keys[name] for name in WORKLOAD}, "seed": seed, "allow_imports": cfg.allow_imports}
    return Workload(work, keys["max_steps"], seed)


def described(cfg: Config, folder: RunFolder) -> dict[str, Any]:  # Any: what JSON can hold
    """The part of ``bench.json`` that is known before measuring."""
    work = workload(cfg)
    return {
        "name": cfg.env_name,
        "parallel": work.kind,
        "envs": work.envs,
        "workers": work.workers,
        "steps": work.steps,
        "subject": cfg.subject,
        "variant": cfg.variant,
        "clock": cfg.clock,
        "settings": {name: getattr(cfg, name) for name in SHARED},
        "workload": {**work.cfg, **{name: folder.config[name] for name in WORKLOAD if name in folder.config}},
        "machine": machine.describe(),
    }

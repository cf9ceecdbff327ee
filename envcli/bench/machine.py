"""The machine that is measured on, without which the numbers mean nothing."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from envcli.installed.provenance import versions
from envcli.processes import cores

__all__ = ["caption", "describe", "line", "notes"]

_PEERS = ("torchrl", "stable_baselines3", "envpool")


def describe() -> dict[str, Any]:  # Any: what JSON can hold
    """The machine, its load now, and the versions of the libraries that take part."""
    found = versions()
    for package in _PEERS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu_model(),
        "cores": cores(),
        "load": os.getloadavg()[0],
        "platform": platform.platform(),
        "versions": found,
    }


def line(machine: dict[str, Any]) -> str:  # Any: see above
    """``machine`` for people: one line, without the libraries that only read configurations."""
    shown = {k: v for k, v in machine["versions"].items() if k not in ("envcli", "python", "hydra-core", "omegaconf")}
    libraries = ", ".join(f"{name} {version}" for name, version in shown.items())
    return (
        f"{machine['date']}, {machine['cores']} cores of {machine['cpu']}, "
        f"Python {machine['versions']['python']}, {libraries}"
    )


def caption(machine: dict[str, Any], notes_beside: Sequence[str] = ()) -> list[str]:  # Any: see above
    """The lines below a table: the machine, then notes on it and others."""
    return [line(machine), *(f"note: {note}" for note in (*notes(machine), *notes_beside))]


def notes(machine: dict[str, Any]) -> list[str]:  # Any: see above
    """Reasons not to trust a measurement here and now."""
    load, cores = machine["load"], machine["cores"]
    if load is None or load <= 0.5 * cores:
        return []
    return [f"the machine was already busy before the start: load {load:.1f} on {cores} cores"]


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for text in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.processor() or platform.machine()

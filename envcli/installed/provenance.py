"""What a run was made with: versions, and the git commit of the working directory."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from typing import Any

import envcli

__all__ = ["commit", "versions"]

_PACKAGES = ("torch", "tensordict", "numpy", "gymnasium", "hydra-core", "omegaconf", "dm_control", "mujoco", "ale-py")
"""Distributions whose version can change what a run gives; those not installed are left out."""


def versions() -> dict[str, str]:
    """The versions of envcli, Python, and the packages that can change the results of a run."""
    found = {"envcli": envcli.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> dict[str, Any] | None:
    """Hash and dirty flag of the commit of the repository in the working directory; None if there is none."""
    sha = _output("git", "rev-parse", "HEAD")
    changes = _output("git", "status", "--porcelain", "--untracked-files=no")
    return None if sha is None else {"sha": sha, "dirty": None if changes is None else bool(changes)}


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, no repository, or a slow one: not worth failing a run
        return None

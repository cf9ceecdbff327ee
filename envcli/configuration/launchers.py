"""Launchers: the plugin that each needs, and how many cores a job takes."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envcli.errors import ConfigError, MissingDependency
from envcli.override import parsed
from envcli.processes import cores
from envcli.vocabulary.catalog import extra_folders

__all__ = ["at_once", "preset", "require_cluster", "workers"]

_PLUGINS = {  # launcher -> its plugin, and the extra that installs that
    "joblib": ("hydra-joblib-launcher", "launchers"),
    "ray": ("hydra-ray-launcher", "ray"),
    "submitit_local": ("hydra-submitit-launcher", "launchers"),
    "submitit_slurm": ("hydra-submitit-launcher", "launchers"),
}


def preset(name: str, folders: Iterable[Path] = ()) -> str:
    """The choice of ``hydra/launcher`` for the launcher ``name``: ours, which builds on the plugin's.

    Any other name, and one that the user defines in ``folders``, stands for itself. Ours needs a name other than the
    plugin's, or Hydra would confuse the two and warn in each process.

    Raises `MissingDependency` if the plugin is not installed.
    """
    plugin, extra = _PLUGINS.get(name, ("", ""))
    own = any((place / "hydra" / "launcher" / f"{name}.yaml").is_file() for place in (*folders, *extra_folders()))
    if not plugin or own:
        return name
    if not _is_there(plugin.replace("-", "_")):
        raise MissingDependency(plugin, f"hydra/launcher={name}", extra)
    return f"envcli_{name}"


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(f"hydra_plugins.{package}") is not None
    except ModuleNotFoundError:  # no plugin at all
        return False


def require_cluster(target: str) -> None:
    """Refuse to submit to Slurm where there is none. ``target`` names the class of the launcher."""
    if target.endswith("SlurmLauncher") and not shutil.which("srun"):
        raise ConfigError(
            "hydra/launcher=submitit_slurm: found no srun, so this machine is not part of a Slurm cluster. "
            "To run the jobs here: hydra/launcher=joblib"
        )


def workers(cfg: Mapping[str, Any]) -> int:
    """The number of cores that a job of ``cfg``, the configuration of a sweep, keeps busy.

    If the sweep is over ``parallel`` itself, this is the number of cores of the machine.

    >>> workers({"parallel": {"type": "processes", "num_workers": 3}}), workers({"parallel": {"type": "serial"}})
    (3, 1)
    """
    words = list((cfg.get("hydra") or {}).get("overrides", {}).get("task", ()))
    if any(override.head == "parallel" and override.is_sweep for override in parsed(words)):
        return cores()
    parallel = cfg.get("parallel") or {}
    if parallel.get("type") != "processes":
        return 1
    most = int(parallel.get("num_workers") or cores())
    return min(most, int(parallel.get("num_envs") or most))


def at_once(cfg: Mapping[str, Any]) -> int:
    """The number of jobs of ``cfg`` that this machine has cores for, at least one."""
    return max(cores() // workers(cfg), 1)

"""Composes the YAML files of ``conf/`` into one configuration.

Hydra is imported inside the functions that need it: help, completion and typing mistakes are answered without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcli import commands
from envcli.configuration import launchers
from envcli.vocabulary import catalog

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["compose", "register", "task_name"]


def register(command: str) -> None:
    """Tell Hydra a command's schema, and the resolvers that ``conf/command.yaml`` uses."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    ConfigStore.instance().store(name=f"{command}_schema", node=commands.find(command).Config, provider="envcli")
    for name, found in (("task", task_name), ("workers", launchers.workers), ("jobs", launchers.at_once)):
        if not OmegaConf.has_resolver(f"envcli_{name}"):
            OmegaConf.register_new_resolver(f"envcli_{name}", lambda *, _root_, found=found: found(_root_))


def compose(command: str, overrides: Iterable[str] = (), folders: Iterable[Path] = ()) -> DictConfig:
    """The configuration of ``envcli <command> <overrides>``, from any working directory.

    ``folders`` are those of ``--config-dir``. Hydra's global state is left unchanged, so an application that runs
    under Hydra itself may call this.
    """
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.types import RunMode
    from omegaconf import flag_override

    from envcli.configuration.loader import ConfigLoader

    register(command)
    # hydra.compose() would set the process-wide GlobalHydra and version base; the loader below it does not.
    search_path = create_config_search_path(str(catalog.folder()))
    for folder in folders:
        search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))  # as Hydra does
    loader = ConfigLoader(search_path)
    cfg = loader.load_configuration(command, list(overrides), run_mode=RunMode.RUN, from_shell=False)
    with flag_override(cfg, ["struct", "readonly"], [False, False]):
        del cfg["hydra"]
    return cfg


def task_name(cfg: Mapping[str, Any]) -> str:
    """The name of the env that is run, as the name of a folder: ``ALE/Pong-v5`` gives ``ALE-Pong-v5``.

    >>> task_name({"backend": {"name": "ALE/Pong-v5"}}), task_name({"env_list": ["pong", "qbert"]})
    ('ALE-Pong-v5', 'pong-qbert')
    """
    from envcli.configuration import environment_variables
    from envcli.folders.saved_config import saved_config

    if earlier := cfg.get("replay") or cfg.get("rollout"):
        cfg = saved_config(Path(earlier))
    if environment_variables.asks(lambda: list(cfg.get("env_list") or ())):
        return "env"
    if names := cfg.get("env_list"):
        return _fit("-".join(names[:3])) + (f"-and-{len(names) - 3}-more" if len(names) > 3 else "")
    backend = cfg.get("backend") or {}
    if "name" not in backend or environment_variables.asks(lambda: backend["name"]):  # "in": not ???
        return "env"
    return "env" if backend["name"] is None else _fit(str(backend["name"]))


def _fit(name: str) -> str:
    """``name`` as the name of a single folder: no slashes, no leading or trailing dots."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "env"

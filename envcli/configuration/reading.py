"""From words to a command's ``Config``, with every mistake explained in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcli import commands
from envcli.configuration import composition, overrides, refusals
from envcli.configuration.env_list import selected
from envcli.errors import ConfigError, UnknownName, nearest
from envcli.override import Override, parsed
from envcli.vocabulary.schema import ONE_ENV, WORKLOAD, check_finite, in_one_line

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["finished", "read"]


def read(command: str, words: Sequence[str]) -> Any:  # Any: each command has a Config of its own
    """The ``Config`` of ``envcli <command> <words>``. Raises `ConfigError` for what the command line refuses."""
    if command not in commands.names() or not hasattr(commands.find(command), "Config"):
        raise UnknownName("command with a configuration", command, commands.names())
    checked = overrides.check(command, words, multirun=False)
    try:
        return finished(command, composition.compose(command, checked), checked)
    except refusals.kinds() as error:
        raise ConfigError(refusals.explain(error, command, checked)) from error


def finished(command: str, cfg: DictConfig, words: Iterable[str] = (), folders: Iterable[Path] = ()) -> Any:
    """The command's ``Config`` object: resolved, complete, with finite numbers and known keys only.

    ``cfg`` was composed from ``words`` and ``folders`` (of ``--config-dir``); so is the part of each env in an
    ``env_list``.
    """
    from omegaconf import OmegaConf

    Config = commands.find(command).Config
    for name in cfg:
        if name not in Config.__dataclass_fields__:  # ``+name=...`` gets past the schema
            raise ConfigError(f"no key {str(name)!r} in {command}. {nearest(str(name), Config.__dataclass_fields__)}")
    for name in sorted(OmegaConf.missing_keys(cfg)):
        raise ConfigError(f"{name}: required but not given. {_misspelt(cfg, name) or _to_give(name, command)}")
    config: Any = OmegaConf.to_object(cfg)
    check_finite(OmegaConf.to_container(cfg, resolve=True))
    if getattr(config, "env_list", None) and not config.envs:  # in a replay they are already there
        if typed := [one for one in _typed(words) if one.key == "env" and not one.removes]:
            raise ConfigError(f"{typed[0]} and env_list={config.env_list} cannot be combined. Leave one out.")
        config.envs = {name: _one_env(command, name, words, folders) for name in dict.fromkeys(config.env_list)}
    if getattr(config, "variant", None) and not config.of_variant:
        config.of_variant = _variant(command, config.variant, words, folders)
    return config


def _misspelt(cfg: DictConfig, name: str) -> str:
    """Which key beside the missing ``name`` may be meant for it; empty if none."""
    from omegaconf import OmegaConf

    above, _, key = name.rpartition(".")
    node = OmegaConf.select(cfg, above) if above else cfg
    plain: Any = OmegaConf.to_container(node)  # its own null and ??? are those of the preset, and were not typed
    given = [str(other) for other, value in plain.items() if value not in (None, "???")]
    near = difflib.get_close_matches(key, given, 1, 0.7)
    return f"Its node has {near[0]!r}: did you mean {key!r}?" if near else ""


def _to_give(name: str, command: str) -> str:
    """What to type for a key that has no default: for a run folder the last one, which is what is mostly meant."""
    if name != "folder":
        return f"Add {name}=..."
    runs = Path("outputs").glob("rollout/*/*/rollout" if command == "export" else "*/*/*/status.json")
    last = max((run.parent for run in runs), key=lambda run: run.name, default=None)
    return f"Type: envcli {command} {last}" if last else f"Type: envcli {command} FOLDER"


def _variant(command: str, changed: Mapping[str, Any], words: Iterable[str], folders: Iterable[Path]) -> dict[str, Any]:
    """The workload of the same words, with the keys in ``changed`` set to other values."""
    others = [str(override) for override in _typed(words) if override.key not in {*changed, "variant"}]
    new = [f"{key}={in_one_line(value)}" for key, value in changed.items()]
    if strange := [str(override) for override in parsed(new) if override.is_about_hydra]:
        raise ConfigError(f"variant: found {strange[0]}, expected keys and groups of {command}.")
    mistakes: tuple[type[Exception], ...] = (ConfigError, *refusals.kinds())
    try:
        checked = overrides.check(command, [*others, *new], multirun=False, folders=folders)
        config = finished(command, _closed(composition.compose(command, checked, folders)), checked, folders)
    except mistakes as error:
        raise ConfigError(f"variant: {refusals.explain(error, command, new)}") from error
    return {key: getattr(config, key) for key in WORKLOAD}


def _one_env(command: str, name: str, words: Iterable[str], folders: Iterable[Path]) -> dict[str, Any]:
    """The part of the configuration that describes the env ``name``, composed from what selects it and other words."""
    others = [str(override) for override in _typed(words) if override.key != "env_list"]
    checked = overrides.check(command, [*others, str(selected(name, folders))], multirun=False, folders=folders)
    mistakes: tuple[type[Exception], ...] = (ConfigError, *refusals.kinds())
    try:
        config = finished(command, _closed(composition.compose(command, [*checked, "env_list=null"], folders)), checked)
    except mistakes as error:
        raise ConfigError(f"env_list, {name}: {refusals.explain(error, command, checked)}") from error
    return {key: getattr(config, key) for key in ONE_ENV}


def _typed(words: Iterable[str]) -> list[Override]:
    return parsed(overrides.as_typed(words))


def _closed(cfg: DictConfig) -> DictConfig:
    """``cfg``, which will be recorded resolved. Raises `ConfigError` if that would record environment variables."""
    from envcli.configuration import environment_variables

    for path, text in environment_variables.unresolved(cfg).items():
        raise ConfigError(f"{'.'.join(path)}: found {text}, not allowed with several configurations. Type the value.")
    return cfg

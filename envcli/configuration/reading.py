"""From words to a command's ``Config``, with every mistake explained in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from envcli import commands
from envcli.configuration import composition, overrides, refusals
from envcli.errors import ConfigError, UnknownName, nearest
from envcli.schema import check_finite

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["finished", "read"]


def read(command: str, words: Sequence[str]) -> Any:  # Any: each command has a Config of its own
    """The ``Config`` of ``envcli <command> <words>``. Raises `ConfigError` for what the command line refuses."""
    if command not in commands.names() or not hasattr(commands.find(command), "Config"):
        raise UnknownName("command with a configuration", command, commands.names())
    checked = overrides.check(command, words, multirun=False)
    try:
        return finished(command, composition.compose(command, checked))
    except refusals.kinds() as error:
        raise ConfigError(refusals.explain(error, command, checked)) from error


def finished(command: str, cfg: DictConfig) -> Any:
    """The command's ``Config`` object: resolved, complete, finite, with nothing in it that it does not know."""
    from omegaconf import OmegaConf

    Config = commands.find(command).Config
    for name in cfg:
        if name not in Config.__dataclass_fields__:  # ``+name=...`` gets past the schema
            raise ConfigError(f"no key {str(name)!r} in {command}. {nearest(str(name), Config.__dataclass_fields__)}")
    for name in sorted(OmegaConf.missing_keys(cfg)):
        raise ConfigError(f"{name}: nothing found, expected a value. Add {name}=...")
    config = OmegaConf.to_object(cfg)
    check_finite(OmegaConf.to_container(cfg, resolve=True))
    return config

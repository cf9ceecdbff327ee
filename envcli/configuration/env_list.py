"""``env_list=[pong,qbert]``: different envs, by their presets, in one batch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from envcli.errors import ConfigError, nearest
from envcli.override import Override
from envcli.vocabulary import catalog

__all__ = ["PLAIN", "first_env", "require_list", "require_preset"]

PLAIN = re.compile(r"[\w./:+-]+")
"""A name that needs no quotes. Whatever else is typed, Hydra reads."""


def require_list(override: Override, folders: Iterable[Path] = ()) -> None:
    """Raise `ConfigError` unless the value is a list of presets, or null."""
    value = override.text
    if value == "null":
        return
    if not (value.startswith("[") and value.endswith("]")):
        raise ConfigError(f"env_list: found {value or 'nothing'}, expected a list: 'env_list=[{value or '...'}]'")
    for name in _names(value):
        require_preset(name, folders)


def require_preset(name: str, folders: Iterable[Path] = ()) -> None:
    """Raise `ConfigError` for a name that no choice of ``env`` has."""
    known = catalog.choices("env", list(folders))
    if name not in known:
        raise ConfigError(f"env_list: no env {name!r}. {nearest(name, known)} The names are those of env=...")


def first_env(overrides: Sequence[Override]) -> list[Override]:
    """``env=`` with the first name of ``env_list``: other overrides must fit that env, as they would beside ``env=``.

    Empty without an ``env_list``. Raises `ConfigError` if both are typed.
    """
    typed = {override.key: override.text for override in overrides}
    if typed.get("env_list", "null") == "null":
        return []
    if "env" in typed:
        raise ConfigError(f"env={typed['env']} and env_list={typed['env_list']} cannot be combined. Leave one out.")
    return [Override("", "env", value=name) for name in _names(typed["env_list"])[:1]]


def _names(value: str) -> list[str]:
    """The names in a plain list; none if it holds more than words, which is for Hydra to read.

    >>> _names("[pong, qbert]"), _names("['a b']")
    (['pong', 'qbert'], [])
    """
    names = [name.strip() for name in value[1:-1].split(",")]
    return names if all(map(PLAIN.fullmatch, names)) else []

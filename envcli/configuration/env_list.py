"""``env_list=[pong,qbert]``: different envs, by their presets or as the backend names them, in one batch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from envcli.errors import ConfigError, nearest
from envcli.override import Override
from envcli.vocabulary import catalog

__all__ = ["PLAIN", "SELECTING", "first_env", "require_list", "selected"]

PLAIN = re.compile(r"[\w./:+-]+")
"""A name that needs no quotes. Whatever else is typed, Hydra reads."""

SELECTING = ("env", "backend.name")
"""What selects one env."""

_PRESET = re.compile(r"[a-z0-9_]+")  # other names are those of a backend: CartPole-v1, cheetah/run, my_envs:Maze-v0


def require_list(override: Override, folders: Iterable[Path] = ()) -> None:
    """Raise `ConfigError` unless the value is a list of envs, or null."""
    value = override.text
    if value == "null":
        return
    if not (value.startswith("[") and value.endswith("]")):
        raise ConfigError(f"env_list: found {value or 'nothing'}, expected a list: 'env_list=[{value or '...'}]'")
    for name in _names(value):
        selected(name, folders)


def selected(name: str, folders: Iterable[Path] = ()) -> Override:
    """What selects the env ``name`` alone: a preset, or ``backend.name``. Raises `ConfigError` for no such preset.

    >>> str(selected("pong")), str(selected("CartPole-v1"))
    ('env=pong', 'backend.name=CartPole-v1')
    """
    known = catalog.choices("env", list(folders))
    if name in known:
        return Override("", "env", value=name)
    if not _PRESET.fullmatch(name):
        return Override("", "backend.name", value=name)
    raise ConfigError(
        f"env_list: no env {name!r}. {nearest(name, known)} The names are those of env=..., or of the backend: "
        "CartPole-v1"
    )


def first_env(overrides: Sequence[Override], folders: Iterable[Path] = ()) -> list[Override]:
    """What selects the first name of ``env_list``: other overrides must fit that env, as they would beside ``env=``.

    Empty without an ``env_list``. Raises `ConfigError` if an env is typed beside it.
    """
    typed = {override.key: override.text for override in overrides}
    if typed.get("env_list", "null") == "null":
        return []
    for key in SELECTING:
        if key in typed:
            both = f"{key}={typed[key]} and env_list={typed['env_list']}"
            raise ConfigError(f"{both} cannot be combined. Leave one out.")
    return [selected(name, folders) for name in _names(typed["env_list"])[:1]]


def _names(value: str) -> list[str]:
    """The names in a plain list; none if it holds more than words, which is for Hydra to read.

    >>> _names("[pong, qbert]"), _names("['a b']")
    (['pong', 'qbert'], [])
    """
    names = [name.strip() for name in value[1:-1].split(",")]
    return names if all(map(PLAIN.fullmatch, names)) else []

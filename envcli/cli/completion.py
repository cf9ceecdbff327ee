"""What may come next on the command line; the scripts of ``envcli completion`` ask for it at every press of Tab."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from envcli import commands
from envcli.cli import arguments
from envcli.cli.arguments import FLAGS
from envcli.errors import EnvcliError
from envcli.override import Override
from envcli.vocabulary import catalog, schema

__all__ = ["candidates"]

_ACTIVE = frozenset("$`\\\"'!&;|<>(){}*?#\n\t ")  # the shell would run part of a folder's name that has these


def candidates(words: Sequence[str]) -> list[str]:
    """Whole words that may replace the last of ``words``, which may be empty or unfinished.

    >>> candidates(["rollout", "env=pen"])
    ['env=pendulum']
    """
    *before, current = words or [""]
    try:
        found = _first() if not before else _later(before, current)
    except EnvcliError:
        return []  # half a line may hold anything, and completion must not complain
    return sorted(word for word in found if word.startswith(current) and not _ACTIVE.intersection(word))


def _first() -> list[str]:
    return [*commands.names(), "--help", "--version"]


def _later(before: Sequence[str], current: str) -> list[str]:
    command = before[0]
    if command not in commands.names():
        return []
    module = commands.find(command)
    if not hasattr(module, "Config"):
        return list(module.words(current) if hasattr(module, "words") else getattr(module, "WORDS", ()))
    if current.startswith("-"):
        return [name for flag in FLAGS for name in flag.names]
    typed = Override.parse(current)
    groups = {group.name: group for group in catalog.groups(command)}
    plain = list(schema.describe(module.Config))
    if typed.value is not None:
        if group := groups.get("env" if typed.key == "env_list" else typed.key):
            return _choices(typed, catalog.choices(group.source, arguments.parse(before[1:]).config_dirs))
        switches = [name for name, default, _ in plain if isinstance(default, bool)]
        return [str(replace(typed, value=word)) for word in ("false", "true") if typed.key in switches]
    if getattr(module, "POSITIONAL", None) == "folder":
        return [*_runs(), *(f"{name}=" for name, _, _ in plain)]
    names = [*groups, *(name for name, _, _ in plain)]
    names += [node.path for group in groups.values() for node in catalog.node_keys(group)]
    return [f"{name}=" for name in names]


def _choices(typed: Override, known: Iterable[str]) -> list[str]:
    """One choice, or the next one of a list: what is before it, such as ``[a,``, is kept."""
    before = typed.text[: max(typed.text.rfind(","), typed.text.rfind("[")) + 1]
    return [str(replace(typed, value=before + name)) for name in known]


def _runs() -> list[str]:
    """The run folders in ``outputs/``, where they are made by default."""
    places = ("outputs/*/*/*/status.json", "outputs/*/multirun/*/*/status.json")
    return [str(path.parent) for place in places for path in Path().glob(place)]

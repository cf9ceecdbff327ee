"""How a saved configuration differs from the defaults of its command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from envcli.vocabulary import catalog, schema

__all__ = ["changes", "defaults"]

_ELSEWHERE = {"json", "overwrite", "replay", "resume", "seed"}  # how it was run, and the seed, which always differs


def changes(command: str, config: type, saved: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Path -> (default, value) for each key in which ``saved`` differs, in its order; None if a side lacks the key.

    ``config`` is the command's ``Config``.
    """
    before, now = dict(_flat(defaults(command, config))), dict(_flat(saved))
    return {
        path: (before.get(path), now.get(path))
        for path in [*now, *(path for path in before if path not in now)]
        if before.get(path) != now.get(path) and path.split(".")[0] not in _ELSEWHERE
    }


def defaults(command: str, config: type) -> dict[str, Any]:
    """The configuration of ``envcli <command>`` without overrides.

    It is put together from the files of ``conf/``, because composing with Hydra belongs to a higher floor: for each
    group, the files that its default names are merged in order.
    """
    from omegaconf import OmegaConf

    folder = catalog.folder()
    found: Any = OmegaConf.create({name: value for name, value, _ in schema.describe(config)})
    for group in catalog.groups(command):
        for choice in group.default.strip("[]").split(","):
            path = folder / group.source / f"{choice.strip()}.yaml"
            if path.is_file():
                found = OmegaConf.merge(found, _packaged(path, group.name))
    found = OmegaConf.merge(found, _nodes(folder / f"{command}.yaml"))
    plain = OmegaConf.to_container(found, resolve=False)
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items() if name != "hydra"}


def _packaged(path: Path, group: str) -> Any:  # Any: a node of OmegaConf
    """The nodes of a choice, at their place in the configuration."""
    everywhere = "@package _global_" in path.read_text(encoding="utf-8")
    return _nodes(path) if everywhere else {group: _nodes(path)}


def _nodes(path: Path) -> Any:
    from omegaconf import OmegaConf

    nodes: Any = OmegaConf.load(path)
    nodes.pop("defaults", None)
    return nodes


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value

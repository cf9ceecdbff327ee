"""How a saved configuration differs from the defaults of its command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from envcli.vocabulary import catalog, schema
from envcli.vocabulary.dotted import dotted

__all__ = ["changes", "defaults"]

_ELSEWHERE = {"envs", "json", "overwrite", "replay", "resume", "seed"}
"""How it was run; the seed, which always differs; and what follows from env_list."""

Node = dict[str, Any]  # Any: what a YAML holds


def changes(command: str, config: type, saved: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Path -> (default, value) for what ``saved`` has otherwise, in its order; None if a side lacks it.

    A choice stands under the name of its group, as it is typed: ``env``, or ``backend`` if no preset has the env, and
    ``transforms.resize`` for each node. The keys below are compared with the defaults of that choice, not of another.
    ``config`` is the command's ``Config``.
    """
    groups, preset, usual = catalog.groups(command), _preset(saved), defaults(command, config)
    words = _words(saved, groups, preset)
    alike = _told(_alike(command, config, saved, preset), groups, preset)
    before = {path: value for path, value in alike.items() if path not in words}
    before |= _words(usual, groups, preset and _preset(usual))
    now = _told(saved, groups, preset)
    aside = _ELSEWHERE | ({"backend", "env"} if saved.get("env_list") else set())  # they are those of the first env
    gone = [path for path in before if path not in now and path.rpartition(".")[0] not in words]  # else it is the usual
    return {
        path: (before.get(path), now.get(path))
        for path in [*now, *gone]
        if before.get(path) != now.get(path) and path.split(".")[0] not in aside
    }


def defaults(command: str, config: type, choices: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Node:
    """The configuration of ``envcli <command>`` without overrides, or with only these ``choices`` of groups.

    It is put together from the files of ``conf/``, because composing with Hydra belongs to a higher floor: for each
    group, the files that its default or the choice names are merged in order.
    """
    from omegaconf import OmegaConf

    found: Any = OmegaConf.create({name: value for name, value, _ in schema.describe(config)})
    for group in catalog.groups(command):
        for choice in choices.get(group.name) or group.default.strip("[]").split(","):
            path = next((path for path in catalog.files(group.source) if path.stem == choice.strip()), None)
            if path is not None:
                found = OmegaConf.merge(found, _packaged(path, group.name))
    found = OmegaConf.merge(found, _nodes(catalog.folder() / f"{command}.yaml"))
    plain = OmegaConf.to_container(found, resolve=False)
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items() if name != "hydra"}


def _alike(command: str, config: type, saved: Mapping[str, Any], preset: str | None) -> Node:
    """The defaults of what ``saved`` chooses; each node of a group of many has its name in ``saved``."""
    groups = catalog.groups(command)
    typed = {group.name: [choice for _, choice, _ in _chosen(saved, group)] for group in groups}
    found = defaults(command, config, {**typed, "env": [preset] if preset else []})
    for group in groups:
        if group.many:
            kinds = {node.get("type"): node for node in found.get(group.name, {}).values()}
            found[group.name] = {name: kinds.get(kind, {}) for name, _, kind in _chosen(saved, group)}
    return found


def _preset(cfg: Mapping[str, Any]) -> str | None:
    """The choice of ``env`` that stands for the backend and the name in ``cfg``."""
    backend = cfg.get("backend")
    if not isinstance(backend, Mapping):
        return None
    return catalog.presets().get((catalog.choice_of("backend", str(backend.get("type"))), str(backend.get("name"))))


def _chosen(cfg: Mapping[str, Any], group: catalog.Group) -> Iterator[tuple[str, str, str]]:
    """Name, choice and type of each node that is chosen in ``group``; a group that is no node by type has none."""
    nodes = cfg.get(group.name)
    for name, node in (nodes.items() if group.many else [("", nodes)]) if isinstance(nodes, Mapping) else ():
        if isinstance(node, Mapping) and isinstance(kind := node.get("type"), str):
            yield str(name), catalog.choice_of(group.source, kind), kind


def _words(cfg: Mapping[str, Any], groups: Sequence[catalog.Group], preset: str | None) -> dict[str, str]:
    """Path -> the choice that is typed there; with a ``preset``, that is ``env``, which brings the backend."""
    chosen = {f"{g.name}.{name}".rstrip("."): choice for g in groups for name, choice, _ in _chosen(cfg, g)}
    if preset and chosen.pop("backend", None):
        chosen["env"] = preset
    return chosen


def _told(cfg: Mapping[str, Any], groups: Sequence[catalog.Group], preset: str | None) -> Node:
    """``cfg`` by paths, where a choice stands for a node's type, and a ``preset`` for the name of the env too."""
    words, found = _words(cfg, groups, preset), Node()
    for path, value in dotted(cfg):
        above, _, last = path.rpartition(".")
        if "env" in words and path in ("backend.type", "backend.name"):
            found["env"] = words["env"]
        elif last == "type" and above in words:
            found[above] = words[above]
        else:
            found[path] = None if value == schema.MISSING else value
    return found


def _packaged(path: Path, group: str) -> Any:  # Any: a node of OmegaConf
    """The nodes of a choice, at their place in the configuration."""
    everywhere = "@package _global_" in path.read_text(encoding="utf-8")
    return _nodes(path) if everywhere else {group: _nodes(path)}


def _nodes(path: Path) -> Any:
    from omegaconf import OmegaConf

    nodes: Any = OmegaConf.load(path)
    nodes.pop("defaults", None)
    return nodes

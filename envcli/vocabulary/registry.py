"""Finds by name what a YAML chooses: backends, transforms, policies, recorders, trackers and so on.

A family is a folder. ``type: step_counter`` is the class in ``envcli/transforms/step_counter.py`` whose name, folded,
equals the file's, with or without the family's suffix (``gym.py`` holds ``GymEnv``). Adding a member is adding a file.
Installed packages add theirs through the entry point group ``envcli.<family>``. The schema of a node is the signature
of its class: see :mod:`envcli.vocabulary.signature`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envcli.errors import ConfigError, UnknownName
from envcli.installed import extensions
from envcli.vocabulary import signature
from envcli.vocabulary.imported import import_module, imported

__all__ = ["FAMILIES", "construct", "find", "members", "type_of"]

FAMILIES = {  # folder -> the word for a member, the suffix that its class may have
    "backends": ("backend", "Env"),
    "contenders": ("contender", "Contender"),
    "dynamics": ("dynamics", "Dynamics"),
    "exports": ("export format", "Export"),
    "films": ("film format", "Film"),
    "policies": ("policy", "Policy"),
    "recorders": ("recorder", "Recorder"),
    "trackers": ("tracker", "Tracker"),
    "transforms": ("transform", "Transform"),
}

_NO_TYPES = {  # no YAML can hold a function; several nodes are a Compose; the others are for Python, or for rollouts
    "action_chunk",
    "batch_size",
    "burn_in",
    "callable_transform",
    "compose",
    "multi_step",
    "multi_threaded",
    "next_observation_delta",
    "pixel_render",
    "random_crop_tensor_dict",
    "reward2_go",
    "video_recorder",
}

_ROOT = Path(__file__).parent.parent
_CLASS = re.compile(r"^class (\w+)\((.*)\):", re.MULTILINE)


def members(family: str) -> list[str]:
    """The names that ``type`` can have in a family, sorted. Imports no member.

    >>> "step_counter" in members("transforms")
    True
    """
    return sorted({*_files(family), *(found.name for found in extensions.extensions(f"envcli.{family}"))})


def find(family: str, name: str, where: str = "type", allow_imports: bool = False) -> type[Any]:
    """The class behind ``type: name``. ``where`` is the config path that messages give.

    Raises `UnknownName` with the nearest names, `MissingDependency` where the member's library is not installed, and
    `ConfigError` for ``my.module:Class`` unless ``allow_imports`` is true.
    """
    if ":" in name:
        module, _, wanted = name.partition(":")
        own = getattr(imported(name, where, allow_imports), wanted, None)
        if not isinstance(own, type):
            raise ConfigError(f"{where}: found {name!r}, but {module} has no class {wanted!r}.")
        return own
    if class_name := _files(family).get(name):
        found = getattr(import_module(f"envcli.{family}.{name}", f"{where}={name}"), class_name)
    else:
        added = {found.name: found for found in extensions.extensions(f"envcli.{family}")}  # they replace none of ours
        if name not in added:
            raise UnknownName(FAMILIES[family][0], name, members(family), f"({where})")
        found = added[name].load()
    assert isinstance(found, type)
    return found


def construct(family: str, node: Mapping[str, Any], where: str, allow_imports: bool = False, **given: Any) -> Any:
    """The object that a config node describes: ``{"type": "step_counter", "max_steps": 5}``.

    ``given`` are arguments that do not come from the node; a class that does not take one of them is built without it.
    """
    cls = find(family, type_of(node, where), f"{where}.type", allow_imports)
    given["allow_imports"] = allow_imports  # some read files that could run code
    return signature.call(cls, {k: v for k, v in node.items() if k != "type"}, where, **given)


def type_of(node: Mapping[str, Any], where: str) -> str:
    """The ``type`` of a node, or a `ConfigError` that says it is missing."""
    name = node.get("type") if isinstance(node, Mapping) else None
    if not isinstance(name, str):
        raise ConfigError(f"{where}: found {node!r}, expected a mapping with a type, such as {{type: ...}}.")
    return name


def _files(family: str) -> dict[str, str]:
    """File name -> class name, from the text of the files.

    A class without bases, or with ``ABC`` among them, is left out: its neighbours use it, and nobody chooses it.
    """
    contract, suffix = FAMILIES[family]
    found = {}
    for path in sorted((_ROOT / family).glob("*.py")):
        if path.stem.startswith("_") or path.stem in {contract, *_NO_TYPES}:
            continue
        folded = path.stem.replace("_", "")
        for class_name, bases in _CLASS.findall(path.read_text(encoding="utf-8")):
            if class_name.lower() in (folded, folded + suffix.lower()) and "ABC" not in re.findall(r"\w+", bases):
                found[path.stem] = class_name
    return found

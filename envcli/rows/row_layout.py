"""The entries of one row, from the five specs of an env."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

import torch

from envcli.errors import SpecError
from envcli.keys import Key, as_path, as_user_key, groups_above, under_next
from envcli.memory.buffer import Layout
from envcli.memory.groups import common
from envcli.specs import Composite

__all__ = ["group_parts", "leaf_layout", "row_layout"]


def leaf_layout(spec: Composite) -> Layout:
    """Path -> (shape, dtype) of every leaf."""
    return {path: (leaf.shape, leaf.dtype) for path, leaf in spec.leaves().items()}


def row_layout(specs: Mapping[str, Composite], title: str, shown: Set[Key] = frozenset()) -> Layout:
    """Path -> (shape, dtype) of everything one row holds, the root first, then ``next``.

    Args:
        specs: family (``"observation"``, ``"action"``, ...) -> its spec.
        title: whose they are, for messages.
        shown: actions that are observations too, of what was done last.

    Raises:
        SpecError: two families have the same entry otherwise, or one is called ``"next"``.
    """
    leaves = {family: leaf_layout(spec) for family, spec in specs.items()}
    chosen = {path: leaf for path, leaf in leaves["action"].items() if path not in shown}
    _require_distinct({**leaves, "action": chosen}, title, "observation", "done", "action")
    _require_distinct(leaves, title, "observation", "done", "reward")
    layout: dict[Key, tuple[torch.Size, torch.dtype]] = {}
    for family in ("observation", "state", "done", "action"):
        layout.update(leaves[family])
    for family in ("observation", "reward", "done"):
        layout.update({under_next(path): leaf for path, leaf in leaves[family].items()})
    return layout


def _require_distinct(leaves: Mapping[str, Layout], title: str, *families: str) -> None:
    owner: dict[Key, str] = {}
    for family in families:
        for path in leaves[family]:
            other = "what a step leads to" if path[0] == "next" else f"the {owner.setdefault(path, family)}"
            if other != f"the {family}":
                raise SpecError(
                    f"{title}: {as_user_key(path)!r} is the name of {other}, and cannot be that of the {family} too. "
                    "Rename one of them"
                )


def group_parts(specs: Mapping[str, Composite], ndim: int) -> dict[Key, torch.Size]:
    """Nested Composites that count more than the batch, of ``ndim`` dimensions, and what: ``[*part]``.

    A Composite without a shape of its own, as a transform adds it, leaves that to those of the same name in other
    families. Dimensions that the leaves of a group do not begin with are not counted.
    """
    found: dict[Key, torch.Size] = {}
    if not any(len(path) > 1 for spec in specs.values() for path in spec.leaves()):
        return found
    for spec in specs.values():
        for path, part in _nested(spec, ndim):
            if part:
                found[path] = common(found.get(path, part), part)
    for spec in specs.values() if found else ():
        for path, leaf in spec.leaves().items():
            for group in found.keys() & set(groups_above(path)):
                found[group] = common(found[group], leaf.shape[ndim:])
    return {path: part for path, part in found.items() if part}


def _nested(spec: Composite, ndim: int, above: Key = ()) -> Iterator[tuple[Key, torch.Size]]:
    for name, inner in spec.items():
        if isinstance(inner, Composite):
            path = (*above, *as_path(name))
            yield path, inner.shape[ndim:]
            yield from _nested(inner, ndim, path)

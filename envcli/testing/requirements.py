"""What a promise requires: each of these returns, or raises SpecError with what was seen instead."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import Key, as_user_key
from envcli.mdp import leaf_paths
from envcli.specs import Composite

__all__ = [
    "abridged",
    "dotted",
    "require",
    "require_equal",
    "require_inside",
    "require_keys",
    "require_members",
    "same_bits",
]


def require(kept: bool, complaint: str) -> None:
    """Raise SpecError with ``complaint`` unless ``kept``."""
    if not kept:
        raise SpecError(complaint)


def require_keys(shown: TensorDictBase, expected: Iterable[Key], where: str) -> None:
    """``shown`` holds the leaves ``expected``, no more and no less."""
    found, wanted = set(leaf_paths(shown)), set(expected)
    require(found >= wanted, f"{where}: missing {sorted(map(dotted, wanted - found))}")
    require(found <= wanted, f"{where}: no spec announces {sorted(map(dotted, found - wanted))}")


def require_members(shown: TensorDictBase, specs: list[Composite], where: str) -> None:
    """``shown`` holds what ``specs`` announce, no more and no less, each a member of its spec and of its very shape."""
    require_keys(shown, [path for spec in specs for path in spec.leaves()], where)
    for spec in specs:
        require_inside(shown, spec, where)
        for path, leaf in spec.leaves().items():
            shape = shown.get(as_user_key(path)).shape
            require(
                shape == leaf.shape,
                f"{where}: {dotted(path)} has shape {list(shape)}, its spec says {list(leaf.shape)}",
            )


def require_inside(shown: TensorDictBase, spec: Composite, where: str) -> None:
    """What ``spec`` announces is in ``shown``, each a member of its spec; leading dimensions are free."""
    for path, leaf in spec.leaves().items():
        value = shown.get(as_user_key(path))
        if not leaf.is_in(value):
            complaint = f"{where}: {dotted(path)} is not in its spec: {leaf._complaint(value)}"
            raise SpecError(f"{complaint} Change the spec, or what is shown")


def require_equal(one: TensorDictBase, other: TensorDictBase, where: str) -> None:
    """Both hold the same entries, bit for bit."""
    require_keys(other, leaf_paths(one), where)
    for path in leaf_paths(one):
        require(same_bits(one.get(as_user_key(path)), other.get(as_user_key(path))), f"{where}: {dotted(path)} differs")


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """The same dtype, shape and values, NaN being equal to itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def dotted(path: Key) -> str:
    """``path`` as it stands in a message."""
    return ".".join(path)


def abridged(value: torch.Tensor) -> str:
    """``value`` as it stands in a message."""
    return f"{value.tolist()}" if value.numel() <= 8 else f"a value of shape {list(value.shape)}"

"""What a subclass of an env writes over: what nobody would call is refused, and what has to be called is found."""

from __future__ import annotations

import itertools
from typing import Any

__all__ = ["is_overridden", "refuse_in_vain"]

_HOOKS_OF_TORCHRL = ("_reset", "_step", "read_action", "read_done", "read_obs", "read_reward")


def refuse_in_vain(kind: type[Any]) -> None:
    """Raise TypeError if ``kind``, which is no ``EnvBase``, has a hook on TensorDicts, or on values, of its own."""
    theirs = itertools.takewhile(lambda above: not _is_ours(above), kind.__mro__)
    written = {name for above in theirs for name in vars(above)}
    for name in _HOOKS_OF_TORCHRL:
        if name in written:
            raise TypeError(
                f"{kind.__name__}.{name} would never be called: only a subclass of EnvBase is written on TensorDicts. "
                "Put a Transform around the env, or a wrapper around its simulator"
            )


def is_overridden(kind: type[Any], name: str) -> bool:
    """Has ``kind`` a method ``name`` that is not ours?"""
    return not _is_ours(getattr(kind, name))


def _is_ours(written: Any) -> bool:
    return str(written.__module__).startswith("envcli.")

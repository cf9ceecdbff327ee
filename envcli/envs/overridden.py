"""What a subclass of an env overrides: methods that would never be called are refused, others are found."""

from __future__ import annotations

import itertools
from typing import Any

from envcli.rows.private_names import is_ours

__all__ = ["is_overridden", "refuse_in_vain"]

_HOOKS_OF_TORCHRL = (
    "_build_env", "_output_transform", "_reset", "_reset_output_transform", "_step", "read_action",
    "read_done", "read_info", "read_obs", "read_reward",
)  # fmt: skip


def refuse_in_vain(kind: type[Any]) -> None:
    """Raise TypeError if ``kind``, which is no ``EnvBase``, has a hook on TensorDicts, or on values, of its own."""
    theirs = itertools.takewhile(lambda above: not is_ours(above), kind.__mro__)
    written = {name for above in theirs for name in vars(above)}
    for name in _HOOKS_OF_TORCHRL:
        if name in written:
            raise TypeError(
                f"{kind.__name__}.{name} would never be called: only subclasses of EnvBase work on TensorDicts. "
                "Wrap the env with a Transform, or wrap its simulator"
            )


def is_overridden(env: Any, name: str) -> bool:
    """Does ``env``, or a class of it that is not ours, override the method ``name``?

    The module of the function itself is no evidence: ``functools.wraps`` copies it from what is wrapped.
    """
    holder = next(above for above in type(env).__mro__ if name in vars(above))
    return name in vars(env) or not is_ours(holder)

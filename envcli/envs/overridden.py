"""What a subclass of an env overrides: methods that would never be called are refused, others are found."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from inspect import signature
from types import FunctionType
from typing import Any

__all__ = ["is_overridden", "refuse_in_vain", "refuse_taken"]

_HOOKS_OF_TORCHRL = (
    "_build_env", "_output_transform", "_reset", "_reset_output_transform", "_step", "read_action",
    "read_done", "read_info", "read_obs", "read_reward",
)  # fmt: skip
_HOOKS = {"_reset", "_step", "_set_seed"}  # what the author of an env on TensorDicts writes


def refuse_in_vain(kind: type[Any]) -> None:
    """Raise TypeError if ``kind``, which is no ``EnvBase``, has a hook on TensorDicts, or on values, of its own."""
    theirs = itertools.takewhile(lambda above: not _is_ours(above), kind.__mro__)
    written = {name for above in theirs for name in vars(above)}
    for name in _HOOKS_OF_TORCHRL:
        if name in written:
            raise TypeError(
                f"{kind.__name__}.{name} would never be called: only subclasses of EnvBase work on TensorDicts. "
                "Wrap the env with a Transform, or wrap its simulator"
            )


def refuse_taken(kind: type[Any], written: Mapping[str, Any]) -> None:
    """Raise TypeError if something in ``written`` took the name of a private method of ours by accident.

    That is what an env on TensorDicts gives itself, name -> value: whatever cannot be called, or is a function of other
    parameters than the method of that name.
    """
    ours = _methods(next(filter(_is_ours, kind.__mro__)))
    for name in ours.keys() & written.keys():
        value = written[name]
        other = isinstance(value, FunctionType) and list(signature(value).parameters) != ours[name]
        if other or not callable(value):
            raise TypeError(
                f"{kind.__name__}: {name!r} is the name of an internal method of every env here, and without it the "
                f"env does not work. Give yours another name, such as 'my{name}'"
            )


@functools.cache
def _methods(kind: type) -> dict[str, list[str]]:
    """The private methods of a class of ours, but for the hooks on TensorDicts: name -> names of the parameters."""
    methods: dict[str, list[str]] = {}
    for above in filter(_is_ours, kind.__mro__):
        for name, value in vars(above).items():
            value = value.func if isinstance(value, functools.cached_property) else value
            if isinstance(value, FunctionType) and name[0] == "_" and name not in (*_HOOKS, *dir(object)):
                methods.setdefault(name, list(signature(value).parameters))
    return methods


def is_overridden(env: Any, name: str) -> bool:
    """Does ``env``, or a class of it that is not ours, override the method ``name``?

    The module of the function itself is no evidence: ``functools.wraps`` copies it from what is wrapped.
    """
    holder = next(above for above in type(env).__mro__ if name in vars(above))
    return name in vars(env) or not _is_ours(holder)


def _is_ours(written: Any) -> bool:
    return str(written.__module__).startswith("envcli.")

"""The private names of our classes, which a subclass elsewhere must not take for something of its own."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from inspect import get_annotations, signature
from types import FunctionType
from typing import Any

__all__ = ["is_ours", "refuse_assigned", "refuse_taken"]

_HOOKS = ("_reset", "_step", "_set_seed")  # what the author of an env on TensorDicts writes
_SETTINGS = (  # of the author too; the first four are TorchRL's
    "_allow_done_after_reset", "_batch_locked", "_batch_size", "_device",
    "_asked_on_tensordicts", "_keeps_values", "_resets_by_call", "_stated",
)  # fmt: skip
_PYTHONS = ("__", "_abc_")


def refuse_taken(kind: type) -> None:
    """Raise TypeError if a class that is not ours took a private name of ours by accident.

    For a method that is whatever cannot be called, or is a function of other parameters; any other attribute is ours.
    """
    if is_ours(kind):
        return
    ours, written = _nearest(kind), vars(kind)
    for name in _attributes(ours) & written.keys():
        raise _taken(kind, name, "attribute")
    for name in _methods(ours).keys() & written.keys():
        value = written[name]
        other = isinstance(value, FunctionType) and list(signature(value).parameters) != _methods(ours)[name]
        if other or not callable(value):
            raise _taken(kind, name, "method")


def refuse_assigned(holder: Any, name: str, value: Any) -> None:
    """Raise TypeError if ``holder.name = value`` takes a private name of ours by accident.

    For a method that is a value which cannot be called; for any other attribute, that it is not we who set it. To be
    called by the ``__setattr__`` of ``holder``, with a name that begins with ``_``.
    """
    kind = type(holder)
    ours = _nearest(kind)
    if name in _methods(ours):
        if name not in holder.__dict__ and not callable(value):
            raise _taken(kind, name, "method")
    elif name in _attributes(ours) and not _set_by_ours():
        raise _taken(kind, name, "attribute")


def is_ours(written: Any) -> bool:
    """Is this class one of ours?"""
    return str(written.__module__).startswith("envcli.")


def _taken(kind: type, name: str, what: str) -> TypeError:
    noun = "env" if hasattr(kind, "rollout") else "transform"
    return TypeError(
        f"{kind.__name__}: {name!r} is the name of an internal {what} of every {noun} here, and without it the "
        f"{noun} does not work. Give yours another name, such as 'my{name}'"
    )


def _nearest(kind: type) -> type:
    return next(filter(is_ours, kind.__mro__))


def _set_by_ours() -> bool:
    frame = sys._getframe(2)
    while frame.f_code.co_name == "__setattr__" and frame.f_back is not None:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")).startswith("envcli.")


@functools.cache
def _methods(kind: type) -> dict[str, list[str]]:
    """The private methods of a class of ours, but for the hooks on TensorDicts: name -> names of the parameters."""
    methods: dict[str, list[str]] = {}
    for name, value in _private(kind):
        value = value.func if isinstance(value, functools.cached_property) else value
        if isinstance(value, FunctionType) and name not in _HOOKS:
            methods.setdefault(name, list(signature(value).parameters))
    return methods


@functools.cache
def _attributes(kind: type) -> frozenset[str]:
    """The private attributes of a class of ours that are declared on it, but for those that an author may set."""
    declared = {name for name, _ in _private(kind)}
    return frozenset(declared.difference(_methods(kind), _HOOKS, _SETTINGS))


def _private(kind: type) -> Iterator[tuple[str, Any]]:
    for above in filter(is_ours, kind.__mro__):
        declared = dict.fromkeys(get_annotations(above)) | vars(above)
        for name, value in declared.items():
            if name[0] == "_" and not name.startswith(_PYTHONS):
                yield name, value

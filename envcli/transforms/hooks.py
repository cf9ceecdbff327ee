"""Which hooks of a transform are run, where its classes define several for the same purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envcli.transforms.overriding import cached_on_class, is_stale, is_written_for, place_of

__all__ = ["SHORTCUTS", "HookPlan", "hook_plan"]

SHORTCUTS = {
    "_inv_row": "_inv_apply_transform",
    "_step_row": "_apply_transform",
    "_reset_row": "_apply_transform",
}
"""Row hook -> the method on values that a class may have written it as a faster form of."""

_RULES = ("_apply_transform", "_inv_apply_transform")
_OPTIONAL = (*SHORTCUTS, "_apply_transform", "_call", "_begin_reset", "_bind_inner", "_skips")
_OTHERS = ("_inv_apply_transform", "_inv_call", "_keeps_values", "_reset", "_resets_by_call", "_row_hooks", "_step")


@dataclass(frozen=True)
class HookPlan:
    """What an env runs of a transform, given what its classes override.

    Attributes:
        own: the optional methods that they override: row hooks, ``_call``, ``_begin_reset`` and the like.
        stale: row hooks whose method on values is overridden by a subclass; they are not run.
        on_tensordicts: for which of ``"inverse"``, ``"step"`` and ``"reset"`` a TensorDict hook is run instead of a row
            hook: where it is defined in a subclass of the class that defines the row hook.
        keeps_values: may a method on values keep what it is given? True too where a class says that it does not, and
            a subclass overrides the method.
    """

    own: frozenset[str]
    stale: frozenset[str]
    on_tensordicts: frozenset[str]
    keeps_values: bool


def hook_plan(kind: type[Any]) -> HookPlan:
    """The plan for a class of transforms as it is now: a method that is set later counts from then on."""
    return _worked_out(kind, *_OPTIONAL, *_OTHERS)


@cached_on_class
def _worked_out(kind: type[Any], *names: str) -> HookPlan:
    return HookPlan(
        own=frozenset(name for name in _OPTIONAL if getattr(kind, name) is not getattr(_root(kind, name), name)),
        stale=frozenset(hook for hook, rule in SHORTCUTS.items() if is_stale(kind, hook, rule)),
        on_tensordicts=_on_tensordicts(kind),
        keeps_values=kind._keeps_values or not all(is_written_for(kind, "_keeps_values", rule) for rule in _RULES),
    )


def _root(kind: type[Any], name: str) -> type[Any]:
    return next(above for above in reversed(kind.__mro__) if name in vars(above))


def _on_tensordicts(kind: type[Any]) -> frozenset[str]:
    rows = {name: min(place_of(kind, name), place_of(kind, "_row_hooks")) for name in SHORTCUTS}
    called, resets = place_of(kind, "_call"), place_of(kind, "_reset")
    by_call = called < rows["_reset_row"] and (kind._resets_by_call or resets <= rows["_reset_row"])
    found = {
        "inverse": place_of(kind, "_inv_call") < rows["_inv_row"],
        "step": min(called, place_of(kind, "_step")) < rows["_step_row"],
        "reset": by_call or resets < rows["_reset_row"],
    }
    return frozenset(name for name, speaks in found.items() if speaks)

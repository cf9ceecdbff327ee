"""Which hooks of a transform are run, where its classes have written several that say the same."""

from __future__ import annotations

from typing import Any

from envcli.transforms.overriding import cached_on_class, is_stale, is_written_for, place_of

__all__ = ["SHORTCUTS", "keeps_values", "stale_row_hooks", "tensordict_hooks"]

SHORTCUTS = {
    "_inv_row": "_inv_apply_transform",
    "_step_row": "_apply_transform",
    "_reset_row": "_apply_transform",
}
"""The row hooks, and of which method on values a class may have written them to do the same."""

_RULES = ("_apply_transform", "_inv_apply_transform")


def stale_row_hooks(kind: type[Any]) -> frozenset[str]:
    """The row hooks whose method on values a class further below has written anew: such a hook is not run."""
    return _stale_row_hooks(kind, *SHORTCUTS, *_RULES)


def tensordict_hooks(kind: type[Any]) -> frozenset[str]:
    """For which of ``"inverse"``, ``"step"`` and ``"reset"`` a TensorDict hook is run, and no row hook.

    That is where a class below the one that writes the row hook writes a TensorDict hook.
    """
    return _tensordict_hooks(kind, *SHORTCUTS, "_row_hooks", "_call", "_step", "_reset", "_inv_call", "_resets_by_call")


def keeps_values(kind: type[Any]) -> bool:
    """Does the class say so in ``_keeps_values``, or not say it of its methods on values as they are now?"""
    return kind._keeps_values or not all(is_written_for(kind, "_keeps_values", rule) for rule in _RULES)


@cached_on_class
def _stale_row_hooks(kind: type[Any], *names: str) -> frozenset[str]:
    return frozenset(hook for hook, rule in SHORTCUTS.items() if is_stale(kind, hook, rule))


@cached_on_class
def _tensordict_hooks(kind: type[Any], *names: str) -> frozenset[str]:
    rows = {name: min(place_of(kind, name), place_of(kind, "_row_hooks")) for name in SHORTCUTS}
    called, resets = place_of(kind, "_call"), place_of(kind, "_reset")
    by_call = called < rows["_reset_row"] and (kind._resets_by_call or resets <= rows["_reset_row"])
    found = {
        "inverse": place_of(kind, "_inv_call") < rows["_inv_row"],
        "step": min(called, place_of(kind, "_step")) < rows["_step_row"],
        "reset": by_call or resets < rows["_reset_row"],
    }
    return frozenset(name for name, speaks in found.items() if speaks)

"""From one step to the next: what moves from ``("next", ...)`` to the root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from tensordict import LazyStackedTensorDict, TensorDict, TensorDictBase

from envcli.keys import Key, NestedKey, as_path, as_user_key, nest

__all__ = ["Begun", "begun_at", "leaf_paths", "leaves", "renewed", "set_next", "step_mdp"]


def set_next(tensordict: TensorDictBase, following: TensorDictBase) -> TensorDictBase:
    """``tensordict`` with ``following`` under ``"next"``, beside what else stood there, such as a policy's memory."""
    given = tensordict.get("next", None)
    for key in () if given is None else given.keys(True, True):
        if following.get(key, None) is None:
            following.set(key, given.get(key))
    return tensordict.set("next", following)


def step_mdp(
    tensordict: TensorDictBase,
    next_tensordict: TensorDictBase | None = None,
    keep_other: bool = True,
    exclude_reward: bool = True,
    exclude_done: bool = False,
    exclude_action: bool = True,
    reward_keys: NestedKey | list[NestedKey] = "reward",
    done_keys: NestedKey | list[NestedKey] = "done",
    action_keys: NestedKey | list[NestedKey] = "action",
) -> TensorDictBase:
    """The TensorDict of the next step: what ``step`` wrote under ``"next"``, moved to the root.

    Args:
        tensordict: one or many steps, ``[*batch]``, with a ``"next"`` entry. It is not changed. The steps of a lazy
            stack may hold different entries, and so do those of the result, a lazy stack too.
        next_tensordict: if given, the result is written into it, and it is returned.
        keep_other: root entries that ``"next"`` does not hold (a hidden state, say) are kept; the action is none of
            them.
        exclude_reward: leave the reward out. A reward describes the step that was made, not the next one.
        exclude_done: leave the entries of ``done_keys`` out.
        exclude_action: leave the action out.
        reward_keys, done_keys, action_keys: what these three are called.

    Returns:
        A new TensorDict ``[*batch]`` (or ``next_tensordict``) whose tensors are those of ``tensordict``, not copies.

    Raises:
        KeyError: there is no ``"next"`` entry.
    """
    if isinstance(tensordict, LazyStackedTensorDict):
        rules = (keep_other, exclude_reward, exclude_done, exclude_action, reward_keys, done_keys, action_keys)
        moved = [step_mdp(step, None, *rules) for step in tensordict.tensordicts]
        stacked = LazyStackedTensorDict.lazy_stack(moved, tensordict.stack_dim)
        return stacked if next_tensordict is None else next_tensordict.update(stacked)
    following = tensordict.get("next", None)
    if following is None:
        raise KeyError("no entry 'next' in this TensorDict: call env.step(tensordict) before step_mdp(tensordict)")
    dropped: list[Key] = [("next",)]
    actions = action_keys if isinstance(action_keys, list) else [action_keys]
    for wanted, keys in ((exclude_reward, reward_keys), (exclude_done, done_keys), (exclude_action, actions)):
        if wanted:
            dropped += map(as_path, keys if isinstance(keys, list) else [keys])
    drop = nest((path, True) for path in dropped)
    old: TensorDictBase | None = tensordict
    if not keep_other:
        old = None if exclude_action else tensordict.select(*actions, strict=False)
    entries = _merged(old, following, drop)
    if next_tensordict is not None:
        return next_tensordict.update(entries)
    result = TensorDict(entries, batch_size=tensordict.batch_size, device=tensordict.device)
    if any(tensordict.names):
        result.names = tensordict.names
    return result


def _merged(old: TensorDictBase | None, new: TensorDictBase | None, drop: dict[str, Any]) -> dict[str, Any]:
    """The entries of ``old`` and, before them, those of ``new``, without what ``drop`` says; nested ones likewise."""
    entries: dict[str, Any] = {}
    for source in (old, new):
        if source is None:
            continue
        for name, value in source.items():
            rule = drop.get(name)
            if rule is True:
                continue
            if type(value) is not torch.Tensor and isinstance(value, TensorDictBase):  # the first test is the cheap one
                before = entries.get(name)
                inner = _merged(before, value, rule or {})
                if not inner:
                    continue
                value = TensorDict(inner, batch_size=value.batch_size, device=value.device)
            entries[name] = value
    return entries


Begun: TypeAlias = Mapping[Key, torch.Tensor]
"""Group -> ``[*batch, *part]`` bool, where its entries begin anew; of the others says the one of the root, ``()``."""


def begun_at(path: Key, begun: Begun) -> torch.Tensor:
    """What ``begun`` says of ``path``: the group that is nearest above it."""
    return next(begun[path[:n]] for n in reversed(range(len(path))) if path[:n] in begun)


def renewed(old: TensorDictBase, fresh: TensorDictBase, begun: torch.Tensor | Begun) -> TensorDict:
    """The entries of ``fresh``: its own values where ``begun`` says so, those of ``old`` elsewhere.

    What ``old`` lacks is ``fresh`` everywhere. A single mask, ``[*batch]`` bool, speaks of all entries.
    """
    found = TensorDict({}, batch_size=fresh.batch_size, device=fresh.device)
    for path, new in leaves(fresh):
        key = as_user_key(path)
        before = old.get(key, None)
        where = begun if isinstance(begun, torch.Tensor) else begun_at(path, begun)
        mask = where.to(new.device).reshape(*where.shape, *[1] * (new.ndim - where.ndim))
        found.set(key, new if before is None else torch.where(mask, new, before))
    return found


def leaf_paths(tensordict: TensorDictBase) -> list[Key]:
    """The paths of all leaves, nested ones included, in the order of the TensorDict."""
    if _is_flat(tensordict):
        return [(str(key),) for key in tensordict.keys()]  # noqa: SIM118  # a TensorDict is no dict
    keys: Sequence[NestedKey] = tensordict.keys(include_nested=True, leaves_only=True)
    return [as_path(key) for key in keys]


def leaves(tensordict: TensorDictBase) -> Iterable[tuple[Key, Any]]:
    """:func:`leaf_paths`, each with its value."""
    if _is_flat(tensordict):
        return [((str(key),), value) for key, value in tensordict.items()]
    return [(path, tensordict.get(as_user_key(path))) for path in leaf_paths(tensordict)]


def _is_flat(tensordict: TensorDictBase) -> bool:
    """Is it a plain TensorDict of tensors? A dozen keys then take 2 us, and 50 the other way."""
    return type(tensordict) is TensorDict and all(type(value) is torch.Tensor for value in tensordict.values())

"""From one step to the next: what moves from ``("next", ...)`` to the root."""

from __future__ import annotations

from collections.abc import Sequence

from tensordict import TensorDict, TensorDictBase

from envcli.keys import Key, NestedKey, as_path, as_user_key

__all__ = ["leaf_paths", "step_mdp"]


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
        tensordict: one or many steps, ``[*batch]``, with a ``"next"`` entry. It is not changed.
        next_tensordict: if given, the result is written into it, and it is returned.
        keep_other: root entries that ``"next"`` does not hold (a hidden state, say) are kept.
        exclude_reward: leave the reward out. A reward describes the step that was made, not the next one.
        exclude_done: leave the entries of ``done_keys`` out.
        exclude_action: leave the action out.
        reward_keys, done_keys, action_keys: what these three are called.

    Returns:
        A new TensorDict ``[*batch]`` (or ``next_tensordict``) whose tensors are those of ``tensordict``, not copies.

    Raises:
        KeyError: there is no ``"next"`` entry.
    """
    following = tensordict.get("next", None)
    if following is None:
        raise KeyError("no entry 'next' in this TensorDict: call env.step(tensordict) before step_mdp(tensordict)")
    excluded: set[Key] = {("next",)}
    for wanted, keys in ((exclude_reward, reward_keys), (exclude_done, done_keys), (exclude_action, action_keys)):
        if wanted:
            excluded.update(map(as_path, keys if isinstance(keys, list) else [keys]))
    result = next_tensordict
    if result is None:
        result = TensorDict({}, batch_size=tensordict.batch_size, device=tensordict.device)
        if any(tensordict.names):
            result.names = tensordict.names
    if keep_other:
        _move(tensordict, result, excluded, ())
    _move(following, result, excluded, ())
    return result


def _move(source: TensorDictBase, target: TensorDictBase, excluded: set[Key], prefix: Key) -> None:
    for name, value in source.items():
        path = (*prefix, name)
        if path in excluded:
            continue
        if isinstance(value, TensorDictBase):
            inner = target.get(name, None)
            if inner is None:
                inner = value.empty()
            _move(value, inner, excluded, path)
            if not inner.is_empty() or value.is_empty():
                target.set(name, inner)
        else:
            target.set(name, value)


def leaf_paths(tensordict: TensorDictBase) -> list[Key]:
    """The paths of all leaves, nested ones included, in the order of the TensorDict."""
    keys: Sequence[NestedKey] = tensordict.keys(include_nested=True, leaves_only=True)
    return [as_path(key) for key in keys]


def user_keys(paths: Sequence[Key]) -> list[NestedKey]:
    """``paths`` as a user writes them."""
    return [as_user_key(path) for path in paths]

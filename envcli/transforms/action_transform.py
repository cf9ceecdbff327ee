"""What transforms of actions have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, groups_above
from envcli.rows.row_hooks import RowHooks
from envcli.specs import Composite, TensorSpec
from envcli.transforms.transform import Transform

__all__ = ["ActionTransform", "one_of"]


class ActionTransform(Transform, ABC):
    """Actions that the user gives otherwise than the simulator takes them.

    A subclass writes ``_inv_apply_transform`` (user to simulator), ``_apply_transform`` (simulator to user) and
    ``_leaf_before`` (the spec of the user's action). In an env only the way to the simulator counts, and what the user
    gave stays in the TensorDict. On a TensorDict alone, ``forward`` makes the user's action of the simulator's (of
    ``in_keys``, which is how a recorded data set is read), and ``inv`` the simulator's of the user's.

    Args:
        in_keys_inv: the simulator's actions; None: ``["action"]``.
        out_keys_inv: what the user calls them; None: the same.
        in_keys: what ``forward`` reads; None: ``in_keys_inv``.
        out_keys: where it writes; None: ``in_keys``.

    Raises:
        TransformError: keys that do not pair; in an env: no such action, or a name that is taken.
    """

    _keeps_values = False

    def __init__(
        self,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
    ) -> None:
        taken: Sequence[NestedKey] = ["action"] if in_keys_inv is None else in_keys_inv
        super().__init__(taken if in_keys is None else in_keys, out_keys, taken, out_keys_inv)
        self._require_pairs()

    @abstractmethod
    def _leaf_before(self, leaf: TensorSpec, lead: int, which: int) -> TensorSpec:
        """The spec of what the user gives where the simulator takes ``leaf``.

        ``lead`` of its dimensions are the batch; it is number ``which`` of ``in_keys_inv``.
        """

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """As it is."""
        return output_spec

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        """What the user gives."""
        leaves = action_spec.leaves()
        changed = dict(zip(map(as_path, self.in_keys_inv), map(as_path, self.out_keys_inv), strict=True))
        for old, new in changed.items():
            if old not in leaves:
                have = [as_user_key(path) for path in leaves]
                raise TransformError(f"{type(self).__name__}: no action {as_user_key(old)!r}. The env takes: {have}")
            if new in leaves.keys() - changed.keys():
                raise TransformError(f"{type(self).__name__}: the action {as_user_key(new)!r} already exists")
        given = dict[Key, TensorSpec]()
        for path, leaf in leaves.items():
            if path in changed:
                which = list(changed).index(path)
                given[changed[path]] = self._leaf_before(leaf, len(action_spec.shape), which)
            else:
                given[path] = leaf
        return _in_groups(given, action_spec)

    def _required_keys(self) -> tuple[list[NestedKey], list[NestedKey]]:
        return [], self.in_keys_inv

    def _rewrites(self) -> set[Key]:
        return set(map(as_path, self.in_keys_inv))

    def _row_hooks(self) -> RowHooks:
        return RowHooks(inverse=super()._row_hooks().inverse)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return tensordict_reset

    def extra_repr(self) -> str:
        """The actions, for ``repr``."""
        return f"actions={self.in_keys_inv}"


def _in_groups(leaves: dict[Key, TensorSpec], before: Composite) -> Composite:
    """``leaves`` in groups of the shape that they had ``before``, where all in them still begin with it."""
    spec = before.empty()
    for path, leaf in leaves.items():
        for group in (group for group in groups_above(path) if group not in spec):
            had, inside = before.get(group), [other for at, other in leaves.items() if at[: len(group)] == group]
            if isinstance(had, Composite) and all(other.shape[: had.ndim] == had.shape for other in inside):
                spec[as_user_key(group)] = had.empty()
        spec[as_user_key(path)] = leaf
    return spec


def one_of(bounds: torch.Tensor, lead: int) -> torch.Tensor:
    """``[*value]`` where the bounds ``[*batch, *value]`` are those of every env, so that any leading dimensions fit."""
    rows = bounds.reshape(-1, *bounds.shape[lead:])
    return rows[0].clone() if len(rows) and bool((rows == rows[0]).all()) else bounds

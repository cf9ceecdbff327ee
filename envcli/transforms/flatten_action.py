"""Flattens the dimensions of an action."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError, TransformError
from envcli.keys import NestedKey, as_path
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import TensorSpec
from envcli.transforms.action_transform import ActionTransform

__all__ = ["FlattenAction"]


class FlattenAction(ActionTransform):
    """The user gives ``[*lead, a * b]`` where the simulator takes ``[*lead, a, b]``.

    Args:
        first_dim: the first dimension that is flattened, counted from the end.
        last_dim: the last one, included.
        in_keys_inv, out_keys_inv, in_keys, out_keys: see :class:`ActionTransform`.
        allow_positive_dim: let dimensions be counted from the front of the env's action, its batch included.
        action_shape: ``[a, b]``, for ``inv`` outside an env, for every key. In an env it must be the env's.

    Raises:
        TransformError: a positive dimension that was not allowed; ``first_dim`` after ``last_dim``; in an env: no such
            dimension, or one of the batch.
    """

    def __init__(
        self,
        first_dim: int = -2,
        last_dim: int = -1,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        allow_positive_dim: bool = False,
        *,
        action_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(in_keys_inv, out_keys_inv, in_keys, out_keys)
        if not allow_positive_dim and (first_dim >= 0 or last_dim >= 0):
            raise TransformError(
                f"FlattenAction: dimensions count from the end, to fit any batch; found {first_dim} and "
                f"{last_dim}. To count from the front: allow_positive_dim=True"
            )
        if (first_dim < 0) == (last_dim < 0) and first_dim > last_dim:
            raise TransformError(f"FlattenAction: first_dim {first_dim} comes after last_dim {last_dim}")
        self.first_dim, self.last_dim = first_dim, last_dim
        self._span = (first_dim, last_dim)  # from the end, once the env is known
        self.action_shape = None if action_shape is None else torch.Size(action_shape)
        self._shapes: list[torch.Size | None] = [self.action_shape] * len(self.in_keys_inv)

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs.flatten(*self._span)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        if len(self.in_keys_inv) != 1:
            raise TransformError(
                f"FlattenAction: a bare value could be any of {self.in_keys_inv}. Call inv on a TensorDict"
            )
        return self._unflattened(state, 0)

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        if len(self.in_keys_inv) == 1:
            return super()._inv_call(tensordict)
        for i, (in_key, out_key) in enumerate(zip(self.in_keys_inv, self.out_keys_inv, strict=True)):
            value = tensordict.get(out_key, None)
            if value is not None:
                tensordict.set(in_key, self._unflattened(value, i))
        return tensordict

    def _unflattened(self, value: torch.Tensor, which: int) -> torch.Tensor:
        shape = self._shapes[which]
        if shape is None:
            raise TransformError(
                f"FlattenAction: the shape of {self.in_keys_inv[which]!r} is unknown. Give action_shape, or "
                f"add it to an env"
            )
        # Where the flattened dimension is now: as far from the end as the last one was.
        place = self._span[1] if self._span[1] < 0 else self._span[0]
        unflattened: torch.Tensor = value.unflatten(place, shape)  # type: ignore[no-untyped-call]  # torch's own
        return unflattened

    def _leaf_before(self, leaf: TensorSpec, lead: int, which: int) -> TensorSpec:
        rank = len(leaf.shape)
        first, last = (dim if dim < 0 else dim - rank for dim in (self.first_dim, self.last_dim))
        if not lead - rank <= first <= last < 0 or (which and self._span != (first, last)):
            raise TransformError(
                f"FlattenAction: cannot flatten dimensions {self.first_dim} to {self.last_dim} of "
                f"{self.in_keys_inv[which]!r}, {list(leaf.shape)}, {lead} of which are the batch. Name others"
            )
        shape = leaf.shape[rank + first : rank + last + 1]
        if self.action_shape is not None and self.action_shape != shape:
            raise TransformError(
                f"FlattenAction: action_shape is {list(self.action_shape)}, but the env's action is {list(leaf.shape)}"
            )
        self._span = (first, last)
        self._shapes[which] = shape
        try:
            return leaf.flatten(first, last)
        except SpecError as error:
            raise TransformError(f"FlattenAction: {self.in_keys_inv[which]!r}: {error}") from error

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        super()._bind(inner, outer)
        self._inverse_moves = ()
        pairs = [
            (outer[as_path(o)], inner[as_path(i)]) for i, o in zip(self.in_keys_inv, self.out_keys_inv, strict=True)
        ]
        self._taken = [(self._unflattened(s, i).numpy(), target.numpy()) for i, (s, target) in enumerate(pairs)]

    def _inv_row(self, t: int) -> None:
        for source, target in self._taken:  # the source is a view in the simulator's shape
            target[t] = source[t]

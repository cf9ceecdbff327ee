"""What transforms agree on that change the shape of values and nothing else."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from functools import partial

import torch

from envcli.errors import TransformError
from envcli.keys import NestedKey
from envcli.specs import Binary, Bounded, Categorical, Composite, TensorSpec, Unbounded
from envcli.transforms.overriding import is_written_for
from envcli.transforms.transform import Transform

__all__ = ["ShapeTransform"]


class ShapeTransform(Transform, ABC):
    """A transform that moves or adds dimensions: bounds move along, and an action goes the same way back."""

    _keeps_values = False
    _resets_by_call = True

    def _entry_after(self, leaf: TensorSpec, key: NestedKey, lead: int) -> TensorSpec:
        return self._checked(self._spec_after, leaf, key, lead)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """Actions and states as the user gives them."""
        for family in ("full_action_spec", "full_state_spec"):
            spec = input_spec[family]
            input_spec[family] = self._outside(spec, partial(self._taken, lead=spec.ndim))
        return input_spec

    def _taken(self, leaf: TensorSpec, key: NestedKey, lead: int) -> TensorSpec:
        after = self._checked(self._leaf_after, leaf, key, lead)
        if isinstance(after, Unbounded) and not isinstance(leaf, Unbounded):
            raise TransformError(
                f"{self!r} would destroy the encoding of {key!r}, a {type(leaf).__name__} {list(leaf.shape)}. Make "
                "the env take categories"
            )
        return after

    def _checked(
        self, change: Callable[[TensorSpec], TensorSpec], leaf: TensorSpec, key: object, lead: int
    ) -> TensorSpec:
        """``change(leaf)``. Raises TransformError where that fails, or is not done to each value of a batch by itself.

        What a subclass wrote anew is run on values of the env's own shape only.
        """
        try:
            after = change(leaf)
        except (TransformError, IndexError, RuntimeError) as error:
            raise TransformError(f"{self!r} does not fit {key!r}, a {list(leaf.shape[lead:])}: {error}") from None
        kept = after.shape[:lead] == leaf.shape[:lead]
        if kept and is_written_for(type(self), "_leaf_after", "_apply_transform"):
            odd = [max(leaf.shape, default=0) + 1] * lead  # a size that no dimension of a value has: nothing can hide
            moved = self._apply_transform(torch.zeros([*odd, *leaf.shape[lead:]], dtype=torch.bool, device="meta"))
            kept = list(moved.shape[:lead]) == odd
        if not kept:
            raise TransformError(f"{self!r} would change the batch dimensions {list(leaf.shape[:lead])} of {key!r}")
        return after

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        shape = self._apply_transform(torch.zeros(leaf.shape, dtype=leaf.dtype)).shape
        if isinstance(leaf, Bounded):
            low, high = self._apply_transform(leaf.low), self._apply_transform(leaf.high)
            return Bounded(low, high, shape=shape, device=leaf.device, dtype=leaf.dtype)
        if isinstance(leaf, Categorical):
            return Categorical(leaf.n, shape=shape, device=leaf.device, dtype=leaf.dtype)
        if isinstance(leaf, Binary):
            return Binary(shape=shape, device=leaf.device, dtype=leaf.dtype)
        if isinstance(leaf, Unbounded):
            return Unbounded(shape, device=leaf.device, dtype=leaf.dtype)
        if shape == leaf.shape:
            return leaf
        return Unbounded(
            shape, device=leaf.device, dtype=leaf.dtype
        )  # a one-hot vector is one along its last dimension

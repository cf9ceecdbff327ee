"""Transforms that change each number by itself."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from envcli.keys import NestedKey, as_keys, as_user_key
from envcli.memory.buffer import Array, RolloutBuffer, as_numbers
from envcli.specs import Bounded, Composite, TensorSpec
from envcli.specs.space import ContinuousBox
from envcli.transforms.overriding import is_written_for
from envcli.transforms.transform import Transform

__all__ = ["ArrayRule", "Elementwise", "NumberRule"]

ArrayRule = Callable[[Array, Array], Any]
"""Reads the first array, writes the second, of the same shape and of the dtype of the result."""

NumberRule = Callable[[float], float]

_FLOATS = (torch.float32, torch.float64)


class Elementwise(Transform, ABC):
    """Each number of some entries becomes another one, whatever its neighbours are.

    A subclass writes ``_apply_transform`` on tensors. For speed it may say the same of numpy (``_array_rule``) and of
    single Python floats (``_number_rule``); the three must agree to the last bit, and a subclass that changes the first
    alone is believed. The function must rise or fall throughout: the bounds of a spec are then those of its ends.

    Args:
        in_keys: which entries; None: ``_family`` says which.
        out_keys, in_keys_inv, out_keys_inv: see :class:`Transform`.

    Raises:
        TransformError: ``in_keys`` and ``out_keys`` are not equally many.
    """

    _keeps_values = False

    _family: ClassVar[str | None] = None
    """Without ``in_keys``: every entry of this family that the env has, and outside an env the one of that name."""

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
    ) -> None:
        self._finds, self._names = in_keys is None and self._family is not None, out_keys
        found = [self._family] if in_keys is None and self._family is not None else in_keys
        super().__init__(found, out_keys, in_keys_inv, out_keys_inv)
        if not self._finds:
            self._require_pairs()

    def _array_rule(self, dtype: np.dtype[Any]) -> ArrayRule | None:
        """``_apply_transform`` of an array of ``dtype``, float32 or float64, into another; None: there is none."""
        return None

    def _number_rule(self) -> NumberRule | None:
        """``_apply_transform`` of one float; None: there is none."""
        return None

    # -- specs ----------------------------------------------------------------------------------------------------

    def _keys_given(self, name: str) -> None:
        if name == "in_keys":
            self._finds = False
        elif name == "out_keys":
            self._names = list(self.out_keys)

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """See :class:`Transform`; the keys are found here where none were given."""
        if self._finds:
            found = [as_user_key(path) for path in output_spec[f"full_{self._family}_spec"].leaves()]
            self._take_keys(in_keys=found, out_keys=list(found) if self._names is None else as_keys(self._names))
        self._require_pairs()
        return super().transform_output_spec(output_spec)

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        """What the user may give for ``in_keys_inv``, under the names of ``out_keys_inv``."""
        return self._outside(action_spec, lambda leaf, _: self._leaf_outside(leaf))

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """The same for the state."""
        return self._outside(state_spec, lambda leaf, _: self._leaf_outside(leaf))

    def _leaf_outside(self, leaf: TensorSpec) -> TensorSpec:
        """What the user may give where the simulator takes ``leaf``. The same, unless a subclass knows better."""
        return leaf

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        plain, box = super()._leaf_after(leaf), leaf.space
        if not isinstance(box, ContinuousBox):
            return plain
        ends = self._apply_transform(box.low), self._apply_transform(box.high)
        return _between(torch.minimum(*ends), torch.maximum(*ends), plain)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        super()._bind(inner, outer)
        self._steps = [self._step_of(source, target) for source, target in self._next_moves]

    def _step_row(self, t: int) -> None:
        for step in self._steps:
            step(t)

    def _step_of(self, source: torch.Tensor, target: torch.Tensor) -> Callable[[int], None]:
        """What moves a row: one float costs 0.2 us in Python, 1 in numpy and 5 in torch."""
        read, write = as_numbers(source), as_numbers(target)
        number = self._number_rule() if is_written_for(type(self), "_number_rule", "_apply_transform") else None
        if number is not None and read is not None and write is not None:
            return _number_step(read, write, number)
        rule, by_array = None, is_written_for(type(self), "_array_rule", "_apply_transform")
        if by_array and source.dtype in _FLOATS and target.dtype != torch.bfloat16:  # numpy has no such type
            rule = self._array_rule(source.numpy().dtype)
        if rule is None:
            return _tensor_step(self._onwards, source, target)
        return _array_step(source.numpy(), target.numpy(), rule)


def _tensor_step(
    change: Callable[[torch.Tensor], torch.Tensor], source: torch.Tensor, target: torch.Tensor
) -> Callable[[int], None]:
    def step(t: int) -> None:
        target[t] = change(source[t])

    return step


def _number_step(source: Any, target: Any, rule: NumberRule) -> Callable[[int], None]:  # Any: views of floats
    def step(t: int) -> None:
        target[t] = rule(source[t])

    return step


def _array_step(source: Array, target: Array, rule: ArrayRule) -> Callable[[int], None]:
    def step(t: int) -> None:
        rule(source[t, ...], target[t, ...])

    return step


def _between(low: torch.Tensor, high: torch.Tensor, plain: TensorSpec) -> TensorSpec:
    """``plain`` with these bounds, where they are bounds at all."""
    unknown = low.isnan() | high.isnan() | (low == float("inf")) | (high == -float("inf"))
    if bool(unknown.any()) or bool((low.isinf() & high.isinf()).all()):
        return plain
    return Bounded(low, high, plain.shape, device=plain.device, dtype=plain.dtype)

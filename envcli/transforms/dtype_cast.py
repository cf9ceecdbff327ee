"""Converts numbers from one type to another, and actions back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.mdp import leaf_paths
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.specs import Composite, TensorSpec
from envcli.specs.dtype_names import dtype_named
from envcli.transforms.transform import Transform

__all__ = ["DTypeCastTransform"]


class DTypeCastTransform(Transform):
    """Values of ``dtype_in`` become ``dtype_out`` for the user; actions of ``dtype_out`` become ``dtype_in`` again.

    Args:
        dtype_in: what the simulator has: a ``torch.dtype``, or its name (``"float64"``).
        dtype_out: what the user gets.
        in_keys, out_keys: which entries, and their names after; None: all observations and rewards of ``dtype_in``.
        in_keys_inv, out_keys_inv: which actions and states; None: all of ``dtype_in``, unless ``in_keys`` is given.

    Raises:
        ConfigError: no such dtype.
        TransformError: an entry of another dtype is named.
    """

    _keeps_values = False
    _resets_by_call = True

    def __init__(
        self,
        dtype_in: torch.dtype | str,
        dtype_out: torch.dtype | str,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys, in_keys_inv, out_keys_inv)
        self.dtype_in, self.dtype_out = dtype_named("dtype_in", dtype_in), dtype_named("dtype_out", dtype_out)
        self._finds = in_keys is None
        self._finds_inv = in_keys_inv is None and in_keys is None
        self._in_env = False  # which knows the keys that were not given

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs.to(self.dtype_out)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return state.to(self.dtype_in)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :class:`Transform`; where no keys are known, everything of ``dtype_in`` is cast, as in TorchRL."""
        if self._finds and not self._in_env:
            return _cast(tensordict, self.dtype_in, self.dtype_out)
        return super().forward(tensordict)

    def inv(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :class:`Transform`; where no keys are known, everything of ``dtype_out`` is cast back."""
        if self._finds_inv and not self._in_env:
            return _cast(tensordict.copy(), self.dtype_out, self.dtype_in)
        return super().inv(tensordict)

    # -- specs ----------------------------------------------------------------------------------------------------

    def _keys_given(self, name: str) -> None:
        if name in ("in_keys", "out_keys"):
            self._finds = False
        else:
            self._finds_inv = False

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With ``dtype_out`` for ``dtype_in``."""
        self._in_env = True
        if self._finds:
            found: list[NestedKey] = [
                as_user_key(path)
                for family in ("observation", "reward")
                for path, leaf in output_spec[f"full_{family}_spec"].leaves().items()
                if leaf.dtype == self.dtype_in
            ]
            self._take_keys(in_keys=found, out_keys=list(found))
        return super().transform_output_spec(output_spec)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """With ``dtype_out`` for ``dtype_in``: that is what the user gives."""
        if self._finds_inv:
            found: list[NestedKey] = [
                as_user_key(path)
                for family in ("action", "state")
                for path, leaf in input_spec[f"full_{family}_spec"].leaves().items()
                if leaf.dtype == self.dtype_in
            ]
            self._take_keys(in_keys_inv=found, out_keys_inv=list(found))
        for family in ("action", "state"):
            name = f"full_{family}_spec"
            input_spec[name] = self._outside(input_spec[name], lambda leaf, _: self._leaf_after(leaf))
        return input_spec

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        if leaf.dtype != self.dtype_in:
            raise TransformError(f"{type(self).__name__} casts {self.dtype_in}, but was given an entry of {leaf.dtype}")
        return leaf.to(self.dtype_out)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        by_torch = torch.bfloat16 in (self.dtype_in, self.dtype_out)  # numpy has no such type

        def rows(buffer: RolloutBuffer, path: Key) -> Any:  # Any: both convert as they copy, row by row
            return buffer[path] if by_torch else buffer.array(path)

        def arrays(pairs: list[tuple[Key, Key]]) -> list[tuple[Any, Any]]:
            return [(rows(inner, i), rows(outer, o)) for i, o in pairs if i in inner and o in outer]

        shown = [(as_path(i), as_path(o)) for i, o in zip(self.in_keys, self.out_keys, strict=True)]
        self._shown = arrays(shown)
        self._following = arrays([(under_next(i), under_next(o)) for i, o in shown])
        self._taken = arrays(
            [(as_path(i), as_path(o)) for i, o in zip(self.in_keys_inv, self.out_keys_inv, strict=True)]
        )

    def _step_row(self, t: int) -> None:  # numpy converts as it copies: 0.15 us where torch takes 3
        for source, target in self._following:
            target[t] = source[t]

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else where
        for source, target in self._shown:
            target[t][mask] = source[t][mask]

    def _inv_row(self, t: int) -> None:
        for source, target in self._taken:
            source[t] = target[t]


def _cast(tensordict: TensorDictBase, before: torch.dtype, after: torch.dtype) -> TensorDictBase:
    for path in leaf_paths(tensordict):
        value = tensordict.get(as_user_key(path))
        if value.dtype == before:
            tensordict.set(as_user_key(path), value.to(after))
    return tensordict

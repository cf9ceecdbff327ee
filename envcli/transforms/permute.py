"""Puts the dimensions of a value into another order."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from envcli.errors import TransformError
from envcli.keys import NestedKey
from envcli.transforms.shape import ShapeTransform

__all__ = ["PermuteTransform"]


class PermuteTransform(ShapeTransform):
    """The last dimensions in the order ``dims``: ``(-1, -3, -2)`` takes the channels to the front.

    Args:
        dims: a new order of ``-len(dims)`` to ``-1``.
        in_keys, out_keys: which values, and what they are called after.
        in_keys_inv, out_keys_inv: which actions or states the user gives in the order ``dims``.

    Raises:
        TransformError: ``dims`` is not an order of the last dimensions; a value has fewer.
    """

    def __init__(
        self,
        dims: Sequence[int],
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys, in_keys_inv, out_keys_inv)
        self.dims = list(dims)
        usual = list(range(-len(self.dims), 0))
        if sorted(self.dims) != usual:
            raise TransformError(f"dims: expected a permutation of {usual}, found {self.dims}")
        self._back = [self.dims.index(dim) - len(self.dims) for dim in usual]

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return self._permuted(obs, self.dims)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return self._permuted(state, self._back)

    def _permuted(self, value: torch.Tensor, dims: list[int]) -> torch.Tensor:
        if value.ndim < len(dims):
            raise TransformError(
                f"dims {self.dims}: found a value of shape {list(value.shape)}, which has fewer dimensions"
            )
        lead = value.ndim - len(dims)
        return value.permute(*range(lead), *dims)

    def extra_repr(self) -> str:
        """The order and the keys."""
        return f"dims={self.dims}, {super().extra_repr()}"

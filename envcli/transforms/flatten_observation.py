"""Merges neighbouring dimensions of observations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey
from envcli.specs import Composite
from envcli.transforms.shape import ShapeTransform

__all__ = ["FlattenObservation"]


class FlattenObservation(ShapeTransform):
    """Dimensions ``first_dim`` to ``last_dim``, both included, become one; the last of them varies fastest.

    Args:
        first_dim, last_dim: counted from the end (-3, -1); with ``allow_positive_dim`` also from the first dimension of
            the value, after the batch's: of the env, or, on a TensorDict outside an env, of that.
        in_keys: which observations; None: ``"pixels"``.
        out_keys: what they are called after; None: the same.
        allow_positive_dim: see above.

    Raises:
        ConfigError: a dimension is not negative, and ``allow_positive_dim`` is false; or they are in the wrong order.
        TransformError: a value has no such dimensions.
    """

    def __init__(
        self,
        first_dim: int,
        last_dim: int,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        allow_positive_dim: bool = False,
    ) -> None:
        super().__init__(["pixels"] if in_keys is None else in_keys, out_keys)
        if not allow_positive_dim and max(first_dim, last_dim) >= 0:
            raise ConfigError(
                f"FlattenObservation: dimensions {first_dim} to {last_dim}, expected negative ones, counted from the "
                "end. allow_positive_dim=True counts from the first dimension after the batch"
            )
        if (first_dim < 0) == (last_dim < 0) and first_dim > last_dim:
            raise ConfigError(f"FlattenObservation: first_dim {first_dim} comes after last_dim {last_dim}")
        self.first_dim, self.last_dim = first_dim, last_dim
        self._lead = 0  # dimensions before the value's own

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        own = obs.ndim - self._lead
        first, last = (dim + own if dim < 0 else dim for dim in (self.first_dim, self.last_dim))
        if not 0 <= first <= last < own:
            raise TransformError(f"it has no dimensions {self.first_dim} to {self.last_dim}")
        return obs.flatten(self._lead + first, self._lead + last)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :class:`Transform`."""
        before, self._lead = self._lead, tensordict.batch_dims
        try:
            return super().forward(tensordict)
        finally:
            self._lead = before

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With the dimensions merged, bounds too."""
        self._lead = output_spec.ndim
        return super().transform_output_spec(output_spec)

    def extra_repr(self) -> str:
        """Dimensions and keys, for ``repr``."""
        return f"first_dim={self.first_dim}, last_dim={self.last_dim}, {super().extra_repr()}"

"""Leaves a dimension of one out."""

from __future__ import annotations

import torch

from envcli.transforms.shape import ShapeTransform
from envcli.transforms.unsqueeze import UnsqueezeTransform

__all__ = ["SqueezeTransform"]


class SqueezeTransform(UnsqueezeTransform):
    """The reverse of :class:`~envcli.UnsqueezeTransform`: without the dimension ``dim``, which must be 1 long.

    An action gets the dimension on the way to the simulator.

    Args:
        dim, allow_positive_dim, in_keys, out_keys, in_keys_inv, out_keys_inv: see there. ``dim`` counts from the end of
            the value that comes in.

    Raises:
        ConfigError: no ``dim``.
        TransformError: the dimension is not 1 long.
    """

    _keeps_values = False
    _leaf_after = ShapeTransform._leaf_after  # it follows from what is done here, as it does there

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return self._without(obs)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return self._with(state)

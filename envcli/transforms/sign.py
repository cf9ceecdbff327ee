"""Reduces numbers to their signs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from envcli.errors import TransformError
from envcli.memory.buffer import Array
from envcli.specs import TensorSpec
from envcli.specs.space import ContinuousBox
from envcli.transforms.elementwise import ArrayRule, Elementwise, NumberRule

__all__ = ["SignTransform"]


class SignTransform(Elementwise):
    """-1 for what is negative, 1 for what is positive, 0 for zero and NaN (as ``torch.sign``); the dtype stays.

    Towards the simulator (``in_keys_inv``) the sign of the user's action is what the simulator gets. A spec that knows
    that its numbers are not negative becomes 0 to 1 (TorchRL: always -1 to 1).

    Args:
        in_keys, out_keys, in_keys_inv, out_keys_inv: see :class:`Transform`; none are taken unless they are named.

    Raises:
        TransformError: in an env: an action whose sign its own bounds do not hold.
    """

    _resets_by_call = True

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return torch.sign(obs)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return torch.sign(state)

    def _leaf_outside(self, leaf: TensorSpec) -> TensorSpec:
        box = leaf.space
        if isinstance(box, ContinuousBox) and bool(
            ((box.low > -1) & (box.low < 0) | (box.high < 1) & (box.high > 0)).any()
        ):
            raise TransformError(
                f"SignTransform: the simulator takes {box.low.min().item():g} to {box.high.max().item():g}, which "
                "does not include all signs. Put ActionScaling before it"
            )
        return leaf

    def _array_rule(self, dtype: np.dtype[Any]) -> ArrayRule | None:
        def rule(source: Array, target: Array) -> None:  # np.sign would keep NaN
            np.greater(source, 0, out=target)
            np.subtract(target, np.less(source, 0), out=target)

        return rule

    def _number_rule(self) -> NumberRule | None:
        return lambda number: (number > 0) - (number < 0)

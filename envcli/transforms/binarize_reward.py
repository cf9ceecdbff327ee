"""Reduces rewards to whether there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from envcli.keys import NestedKey
from envcli.specs import Binary, TensorSpec
from envcli.transforms.elementwise import ArrayRule, Elementwise

__all__ = ["BinarizeReward"]


class BinarizeReward(Elementwise):
    """1 for a reward above zero, 0 for any other (a negative one and NaN too, as in TorchRL), as int8.

    Args:
        in_keys: which rewards; None: all that the env has, ``"reward"`` outside an env.
        out_keys: what they are called after; None: the same.
    """

    _family = "reward"

    def __init__(self, in_keys: Sequence[NestedKey] | None = None, out_keys: Sequence[NestedKey] | None = None) -> None:
        super().__init__(in_keys, out_keys)

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return (obs > 0).to(torch.int8)

    def _array_rule(self, dtype: np.dtype[Any]) -> ArrayRule | None:
        return lambda source, target: np.greater(source, 0, out=target)

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        return Binary(shape=leaf.shape, device=leaf.device, dtype=torch.int8)

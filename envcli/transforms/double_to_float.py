"""Converts float64 to float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from envcli.keys import NestedKey
from envcli.transforms.dtype_cast import DTypeCastTransform

__all__ = ["DoubleToFloat"]


class DoubleToFloat(DTypeCastTransform):
    """float64 values become float32 for the user; float32 actions become float64 again.

    Args:
        in_keys, out_keys, in_keys_inv, out_keys_inv: see :class:`DTypeCastTransform`; left out: all that is float64.
    """

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(torch.float64, torch.float32, in_keys, out_keys, in_keys_inv, out_keys_inv)

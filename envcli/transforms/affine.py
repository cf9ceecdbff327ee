"""Transforms that scale and shift."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from envcli.keys import NestedKey
from envcli.memory.buffer import Array
from envcli.specs import TensorSpec
from envcli.transforms.elementwise import ArrayRule, Elementwise
from envcli.transforms.loc_scale import LocScale, Numbers
from envcli.transforms.stated import Stated

__all__ = ["Affine"]


class Affine(LocScale, Stated, Elementwise, ABC):
    """``x * scale + loc``, or ``(x - loc) / scale`` if ``standard_normal``; towards the simulator the other way round.

    Floats keep their dtype, whatever that of ``loc`` and ``scale`` is; other numbers get the dtype of ``loc``.

    Args:
        loc, scale: numbers, or as many as a value has; both or neither.
        in_keys, out_keys, in_keys_inv, out_keys_inv: see :class:`Transform`.
        standard_normal: which of the two.
        least: a ``scale`` nearer to zero than this is taken for this much, where it divides.

    Raises:
        ConfigError: only one of ``loc`` and ``scale`` is given, or one of them is not made of numbers.
    """

    def __init__(
        self,
        loc: Numbers | None,
        scale: Numbers | None,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        standard_normal: bool = False,
        least: float = 0.0,
    ) -> None:
        super().__init__(in_keys, out_keys, in_keys_inv, out_keys_inv)
        self._hold_numbers(loc, scale, standard_normal)
        self._least = least

    # -- values ---------------------------------------------------------------------------------------------------

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        loc, scale = self._known(obs)
        value = obs.to(loc.dtype)
        return (value - loc) / scale if self.standard_normal else value * scale + loc

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        loc, scale = self._known(state)
        value = state.to(loc.dtype)
        return value * scale + loc if self.standard_normal else (value - loc) / scale

    def _array_rule(self, dtype: np.dtype[Any]) -> ArrayRule | None:
        loc, scale = (part.cpu().numpy() for part in self._known(torch.from_numpy(np.empty(0, dtype))))
        first, second = (np.subtract, np.divide) if self.standard_normal else (np.multiply, np.add)
        one, other = (loc, scale) if self.standard_normal else (scale, loc)

        def rule(source: Array, target: Array) -> None:
            with np.errstate(all="ignore"):  # infinity times zero is no news to torch
                second(first(source, one, out=target), other, out=target)

        return rule

    def _known(self, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``loc`` and ``scale`` where ``value`` is, in the dtype of the result."""
        loc, scale = self._require_known()
        dtype = value.dtype if value.is_floating_point() else loc.dtype
        loc, scale = loc.to(value.device, dtype), scale.to(value.device, dtype)
        if self.standard_normal and self._least:
            scale = torch.where(scale.abs() < self._least, self._least, scale).to(dtype)
        return loc, scale

    def _require_known(self) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.loc is not None
        assert self.scale is not None
        return self.loc, self.scale

    # -- specs ----------------------------------------------------------------------------------------------------

    def _leaf_outside(self, leaf: TensorSpec) -> TensorSpec:
        return self._leaf_after(leaf)

    # -- state ----------------------------------------------------------------------------------------------------

    _stated = ("standard_normal",)

    def _state(self) -> dict[str, torch.Tensor]:
        return {"standard_normal": torch.tensor(self.standard_normal)}

    def _take_state(self, state: Mapping[str, torch.Tensor]) -> None:
        if "standard_normal" in state:
            self.standard_normal = bool(state["standard_normal"])

    def extra_repr(self) -> str:
        """The numbers, if they are few, and the keys, for ``repr``."""
        if self.loc is None or self.scale is None or self.loc.numel() * self.scale.numel() != 1:
            return super().extra_repr()
        return f"loc={self.loc.item():.4f}, scale={self.scale.item():.4f}, {super().extra_repr()}"

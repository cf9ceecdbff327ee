"""Keeps numbers within limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from envcli.errors import ConfigError, EnvcliError, TransformError
from envcli.keys import NestedKey
from envcli.specs import Bounded, TensorSpec, Unbounded
from envcli.specs.space import ContinuousBox
from envcli.transforms.elementwise import ArrayRule, Elementwise, NumberRule
from envcli.transforms.stated import Stated

__all__ = ["ClipTransform"]


class ClipTransform(Stated, Elementwise):
    """What is less than ``low`` becomes ``low``, what is more than ``high`` becomes ``high``; NaN stays NaN.

    Towards the simulator (``in_keys_inv``) the user may give any number on a side that is clipped, as with gymnasium's
    ``ClipAction``. (TorchRL leaves the spec as it is there, and does not check actions; here one that lies outside its
    spec is refused, so that a clip would have nothing to do.)

    Args:
        in_keys, out_keys, in_keys_inv, out_keys_inv: see :class:`Transform`.
        low, high: the limits, both included; None: no limit on that side.

    Raises:
        ConfigError: there is no limit, or ``low`` exceeds ``high``.
        TransformError: actions would be clipped to what the simulator does not take.
    """

    _resets_by_call = True

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys, in_keys_inv, out_keys_inv)
        self.low, self.high = low, high
        self._check()

    @property
    def low(self) -> float | None:
        """The least that is left; also a tensor of one element can be assigned."""
        return self._low

    @low.setter
    def low(self, low: float | torch.Tensor | None) -> None:
        self._low = _number(low)

    @property
    def high(self) -> float | None:
        """The most that is left; see ``low``."""
        return self._high

    @high.setter
    def high(self, high: float | torch.Tensor | None) -> None:
        self._high = _number(high)

    def _check(self) -> None:
        """The limits, by the names that the user knows them by."""
        low, high = self._stated
        if self.low is None and self.high is None:
            raise ConfigError(f"{type(self).__name__}: found no limit. Give {low}, {high} or both")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ConfigError(f"{type(self).__name__}: {low} must not exceed {high}, found {self.low} and {self.high}")

    # -- values ---------------------------------------------------------------------------------------------------

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return self._clipped(obs)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return self._clipped(state)

    def _clipped(self, value: torch.Tensor) -> torch.Tensor:
        return torch.clamp(value, _held(self.low, value.dtype), _held(self.high, value.dtype))

    def _array_rule(self, dtype: np.dtype[Any]) -> ArrayRule | None:
        low = None if self.low is None else np.asarray(self.low, dtype)
        high = None if self.high is None else np.asarray(self.high, dtype)
        if low is None:
            return lambda source, target: np.minimum(source, high, out=target)  # type: ignore[arg-type]  # never None
        if high is None:
            return lambda source, target: np.maximum(source, low, out=target)
        return lambda source, target: np.minimum(np.maximum(source, low, out=target), high, out=target)

    def _number_rule(self) -> NumberRule | None:
        low = -float("inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        return lambda number: low if number < low else high if number > high else number

    # -- specs ----------------------------------------------------------------------------------------------------

    def _leaf_outside(self, leaf: TensorSpec) -> TensorSpec:
        box = leaf.space
        if not isinstance(box, ContinuousBox) or not leaf.dtype.is_floating_point:
            raise TransformError(
                f"{type(self).__name__} clips numbers, but in_keys_inv names a {type(leaf).__name__} of {leaf.dtype}"
            )
        for name, limit in (("low", self.low), ("high", self.high)):
            if limit is not None and bool(((limit < box.low) | (limit > box.high)).any()):
                raise TransformError(
                    f"{type(self).__name__}: {name}={limit} is outside the simulator's range, "
                    f"{box.low.min().item():g} to {box.high.max().item():g}. Clip to that range, or a smaller one"
                )
        low = box.low if self.low is None else torch.full_like(box.low, -float("inf"))
        high = box.high if self.high is None else torch.full_like(box.high, float("inf"))
        if low.isinf().all() and high.isinf().all():
            return Unbounded(leaf.shape, device=leaf.device, dtype=leaf.dtype)
        return Bounded(low, high, leaf.shape, device=leaf.device, dtype=leaf.dtype)

    # -- state ----------------------------------------------------------------------------------------------------

    _stated = ("low", "high")

    def _state(self) -> dict[str, torch.Tensor]:
        limits = zip(self._stated, (self.low, self.high), strict=True)
        return {name: _exact(limit) for name, limit in limits if limit is not None}

    def _take_state(self, state: Mapping[str, torch.Tensor]) -> None:
        before = self.low, self.high
        low, high = (state[name].item() if name in state else None for name in self._stated)
        self._low, self._high = (before[0] if low is None else low), (before[1] if high is None else high)
        try:
            self._check()
            self._tell(before)
        except EnvcliError:
            found, (self._low, self._high) = (self.low, self.high), before
            self._tell(found)
            raise

    def _tell(self, before: tuple[float | None, float | None]) -> None:
        """Have the env work out its specs again, if the limits were others before."""
        if self._container is not None and before != (self.low, self.high):
            self._container._changed()

    def extra_repr(self) -> str:
        """Limits and keys, for ``repr``."""
        return f"low={self.low}, high={self.high}, {super().extra_repr()}"


def _number(limit: float | torch.Tensor | None) -> float | None:
    return limit.item() if isinstance(limit, torch.Tensor) else limit


def _held(limit: float | None, dtype: torch.dtype) -> float | None:
    """``limit`` as ``dtype`` can hold it: torch would turn -1 into 255 for uint8."""
    if limit is None or dtype.is_floating_point or dtype == torch.bool:
        return limit
    ends = torch.iinfo(dtype)
    held = min(max(limit, ends.min), ends.max)
    return int(held) if int(held) == held else limit


def _exact(limit: float) -> torch.Tensor:
    return torch.tensor(limit, dtype=torch.float64 if isinstance(limit, float) else None)

"""Actions in [-1, 1] for any bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Bounded, TensorSpec, Unbounded
from envcli.transforms.action_transform import ActionTransform, one_of
from envcli.transforms.loc_scale import LocScale, Numbers, as_numbers

__all__ = ["ActionScaling"]


class ActionScaling(LocScale, ActionTransform):
    """The user gives actions in [-1, 1], both included; the simulator gets ``action * scale + loc``, within its bounds.

    ``loc = (high + low) / 2`` and ``scale = (high - low) / 2`` come from the env's action spec, element by element,
    unless they are given. ``forward`` on a TensorDict alone is ``(action - loc) / scale``; an element with ``scale`` 0
    becomes 0.

    Args:
        in_keys_inv, out_keys_inv, in_keys, out_keys: see :class:`ActionTransform`; one action. An empty ``in_keys_inv``
            leaves an env's actions alone (and needs ``loc`` and ``scale``).
        loc, scale: numbers, or as many as an action has elements; both or none. An action spec without bounds then
            stays without; one with bounds has them moved along.
        standard_normal: [-1, 1]; False: [0, 1].

    Raises:
        ConfigError: ``loc`` without ``scale``, or neither where they are needed; one of them is not made of numbers.
        TransformError: more than one action; in an env: an action that is not of floats, or has infinite bounds while
            no ``loc`` is given.
    """

    def __init__(
        self,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        *,
        loc: Numbers | None = None,
        scale: Numbers | None = None,
        standard_normal: bool = True,
    ) -> None:
        if in_keys is None and in_keys_inv is not None and not len(in_keys_inv):
            in_keys = ["action"]
        super().__init__(in_keys_inv, out_keys_inv, in_keys, out_keys)
        self._hold_numbers(loc, scale, standard_normal)
        if len(self.in_keys_inv) > 1 or len(self.in_keys) > 1:
            raise TransformError(
                f"ActionScaling: expected one action, found {self.in_keys_inv}. Compose several of them"
            )
        if loc is None and not self.in_keys_inv:
            raise ConfigError(
                "ActionScaling: without in_keys_inv there is no spec to take loc and scale from. Give both"
            )
        self._derives = loc is None
        self._loaded = False
        self._within: tuple[torch.Tensor, torch.Tensor] | None = None  # bounds that rounding must not exceed

    @classmethod
    def from_stats(
        cls,
        *,
        mean: Numbers | None = None,
        std: Numbers | None = None,
        low: Numbers | None = None,
        high: Numbers | None = None,
        eps: float = 1e-6,
        **options: Any,
    ) -> Self:
        """With the statistics of a data set: ``mean`` and ``std``, or ``low`` and ``high`` (which become -1 and 1).

        ``scale`` is at least ``eps``. ``options`` go to the constructor. Raises ConfigError unless one pair is given.
        """
        named = {"mean": mean, "std": std, "low": low, "high": high}
        given = {k: as_numbers(v, f"ActionScaling.from_stats: {k}") for k, v in named.items() if v is not None}
        if list(given) == ["mean", "std"]:
            loc, scale = given["mean"], given["std"]
        elif list(given) == ["low", "high"]:
            loc, scale = (given["high"] + given["low"]) / 2, (given["high"] - given["low"]) / 2
        else:
            raise ConfigError("ActionScaling.from_stats: give mean and std, or low and high, and nothing else")
        return cls(loc=loc, scale=scale.clamp(min=eps), **options)

    def normalize(self, action: torch.Tensor) -> torch.Tensor:
        """The simulator's ``[*lead, *value]`` as the user gives it."""
        return self._apply_transform(action)

    def denormalize(self, action: torch.Tensor) -> torch.Tensor:
        """The user's ``[*lead, *value]`` as the simulator gets it."""
        return self._inv_apply_transform(action)

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        factor, term = self._line(obs.dtype)
        return (obs - term) / torch.where(factor == 0, 1, factor)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        factor, term = self._line(state.dtype)
        moved = state * factor + term
        return moved if self._within is None else moved.clamp(*self._within)

    def _line(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Factor and term: the simulator's action is ``user's * factor + term``."""
        if self.loc is None or self.scale is None:
            raise TransformError(
                "ActionScaling: loc and scale are not set yet. Give both, or add it to an env with a bounded action"
            )
        loc, scale = self.loc.to(dtype), self.scale.to(dtype)
        return (scale, loc) if self.standard_normal else (2 * scale, loc - scale)

    # -- specs ----------------------------------------------------------------------------------------------------

    def _leaf_before(self, leaf: TensorSpec, lead: int, which: int) -> TensorSpec:
        if not isinstance(leaf, (Bounded, Unbounded)) or not leaf.dtype.is_floating_point:
            raise TransformError(
                f"ActionScaling scales floats between bounds, but the env takes {type(leaf).__name__} {leaf.dtype} "
                f"{list(leaf.shape)}. Leave it out"
            )
        finite = isinstance(leaf, Bounded) and bool((leaf.low.isfinite() & leaf.high.isfinite()).all())
        if not self._derives:
            return self._moved_bounds(leaf, lead, finite)
        if not isinstance(leaf, Bounded) or not finite:
            raise TransformError(
                f"ActionScaling needs finite bounds to scale to, but those of {self.in_keys_inv} are infinite. "
                f"Give loc and scale"
            )
        low, high = self._within = one_of(leaf.low, lead), one_of(leaf.high, lead)
        if not self._loaded:
            self.loc, self.scale = (high + low) / 2, (high - low) / 2
        least = -1 if self.standard_normal else 0
        return Bounded(least, 1, shape=leaf.shape, dtype=leaf.dtype, device=leaf.device)

    def _moved_bounds(self, leaf: TensorSpec, lead: int, finite: bool) -> TensorSpec:
        if not isinstance(leaf, Bounded) or not finite:
            return Unbounded(leaf.shape, dtype=leaf.dtype, device=leaf.device)
        ends = self.normalize(leaf.low), self.normalize(leaf.high)
        self._within = one_of(leaf.low, lead), one_of(leaf.high, lead)
        return Bounded(torch.minimum(*ends), torch.maximum(*ends), dtype=leaf.dtype, device=leaf.device)

    def _learn(self, loc: torch.Tensor, scale: torch.Tensor) -> None:
        self._loaded = True
        super()._learn(loc, scale)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        super()._bind(inner, outer)
        pairs = [(source.numpy(), target.numpy()) for source, target in self._inverse_moves]
        self._inverse_moves = ()
        self._taken = [
            (source, target, *(part.cpu().numpy() for part in (*self._line(inner_dtype), *(self._within or ()))))
            for (source, target), inner_dtype in zip(pairs, self._dtypes(inner), strict=True)
        ]

    def _dtypes(self, inner: RolloutBuffer) -> list[torch.dtype]:
        return [inner[(key,) if isinstance(key, str) else key].dtype for key in self.in_keys_inv]

    def _inv_row(self, t: int) -> None:  # numpy: 2 us where torch takes 10
        for source, target, factor, term, *within in self._taken:
            row = target[t, ...]
            np.multiply(source[t], factor, out=row)
            row += term
            if within:
                np.clip(row, *within, out=row)

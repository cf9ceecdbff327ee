"""How an entry that holds images is to be seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from envcli.keys import NestedKey, as_path
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Bounded

__all__ = ["Look"]


@dataclass(frozen=True)
class Look:
    """What is known of the images of an entry beyond their shape and dtype.

    Attributes:
        low, high: the values that are black and white; None: not known. Whole numbers then count from 0 to 255.
        stack: how many images are one after the other along the channels, the newest last; None: not known.
    """

    low: float | None = None
    high: float | None = None
    stack: int | None = None

    @classmethod
    def of(cls, env: EnvSpecs, key: NestedKey) -> Self:
        """What the specs of ``env``, and its transforms, say of its observation ``key``."""
        path = as_path(key)
        leaf, stack = env.full_observation_spec.leaves().get(path), env._roles().stacks.get(path)
        if not isinstance(leaf, Bounded):
            return cls(stack=stack)
        return cls._checked(float(leaf.low.min()), float(leaf.high.max()), stack)

    @classmethod
    def read(cls, told: object) -> Self:
        """The look that a file tells of, as ``asdict`` gives it; what makes no sense there is not known."""
        values: Mapping[Any, Any] = told if isinstance(told, Mapping) else {}
        low, high, stack = (values.get(name) for name in ("low", "high", "stack"))
        return cls._checked(low, high, stack if type(stack) is int and stack > 0 else None)

    @classmethod
    def _checked(cls, low: object, high: object, stack: int | None) -> Self:
        if isinstance(low, int | float) and isinstance(high, int | float) and -math.inf < low < high < math.inf:
            return cls(float(low), float(high), stack)
        return cls(stack=stack)

    def seeing(self, values: torch.Tensor) -> Self:
        """With a range, if it has none: that of ``values``.

        Whole numbers count from 0 to 255. So do floats from 0 on that reach beyond 1; otherwise they count from 0 to 1.
        Where some lie beyond that, from the least to the greatest.
        """
        if self.low is not None:
            return self
        if not values.dtype.is_floating_point:
            return replace(self, low=0.0, high=1.0 if values.dtype == torch.bool else 255.0)
        finite = values[values.isfinite()]
        low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 1.0)
        if low >= 0 and high <= 255:
            return replace(self, low=0.0, high=1.0 if high <= 1 else 255.0)
        return replace(self, low=low, high=high if high > low else low + 1)

    def wider(self, other: Self) -> Self:
        """With the range of both."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return other
        return replace(self, low=min(self.low, other.low), high=max(self.high, other.high))

"""What specs of numbers have in common, bounded or not: a box of values, and draws from it."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Self

from torch import Tensor

from envcli.specs.interval import Interval
from envcli.specs.shaped import Shape
from envcli.specs.space import ContinuousBox
from envcli.specs.spec import TensorSpec

__all__ = ["BoxedSpec"]


class BoxedSpec(TensorSpec):
    """Numbers within a :class:`~envcli.specs.space.ContinuousBox`, which a subclass sets. Nothing in it can change."""

    _box: ContinuousBox

    @cached_property
    def _interval(self) -> Interval:
        return Interval.of(self._box, self._device)

    def rand(self, shape: Shape = ()) -> Tensor:
        """``[*shape, *self.shape]``: uniform between the bounds, both included, or over all values of an integer dtype.

        Where a bound of floats is infinite, see :class:`~envcli.specs.interval.FloatInterval`: standard normal, if both
        are. The draw is finite always.
        """
        return self._interval.draw(self._size(shape))

    def clone(self) -> Self:
        """An equal spec."""
        return copy.copy(self)

    def _nearest(self, value: Tensor) -> Tensor:
        return self._box.clip(value)

"""Random numbers between two bounds, in the dtype of the bounds, both ends included."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from envcli.specs.space import ContinuousBox

__all__ = ["FloatInterval", "IntegerInterval", "Interval", "NoInterval"]

Rule: TypeAlias = Callable[[Tensor], Tensor]
"""Fills a tensor with draws, or answers with another one."""

# Up to here torch.randint's modulo favours no value by more than one in 256; beyond, we reject instead.
_FEW = 2**24


class Interval:
    """What draws the members of a :class:`ContinuousBox`. All branches are decided at construction."""

    def draw(self, size: tuple[int, ...]) -> Tensor:
        """A tensor ``[*size]``, where ``size`` ends with the shape of the box."""
        raise NotImplementedError

    @staticmethod
    def of(box: ContinuousBox, device: torch.device | None = None) -> Interval:
        """The one that suits the dtype of ``box``; on the device "meta", one whose draws have no values."""
        if device is not None and device.type == "meta":
            return NoInterval(box.dtype)
        return FloatInterval(box) if box.dtype.is_floating_point else IntegerInterval(box)


class FloatInterval(Interval):
    """Floats. Each element is drawn by what its bounds allow (the half-infinite rules are gymnasium's ``Box``):

    * two finite bounds: uniform between them, also where their difference overflows the dtype;
    * one finite bound: that bound, plus or minus a draw from the exponential distribution. Its mean is 1, or more where
      the dtype could not tell the draw from the bound;
    * none: standard normal.

    Every draw is finite and within the bounds after rounding.
    """

    def __init__(self, box: ContinuousBox) -> None:
        self._dtype, self._device = box.dtype, box.work_low.device
        # Uniform draws of half floats have too few steps: they are drawn as float32 and rounded.
        self._work = torch.float64 if box.dtype == torch.float64 else torch.float32
        low, high = box.work_low.to(self._work), box.work_high.to(self._work)
        most = torch.finfo(box.dtype).max
        self._low, self._high, self._width = low.clamp(min=-most), high.clamp(max=most), high - low
        below, above = low.isfinite(), high.isfinite()
        self._wide = bool((self._width.isinf() & below & above).any())
        rules: list[tuple[Tensor, Rule]] = [
            (below & above, self._across if self._wide else self._between),
            (below & ~above, self._upwards),
            (above & ~below, self._downwards),
            (~below & ~above, self._normal),
        ]
        self._parts = [(where, rule) for where, rule in rules if bool(where.any())]
        narrow, free = not self._wide and bool((below & above).all()), not bool((below | above).any())
        self._ends = box.ends if narrow else None
        # fl(low + fl(high - low)) is the most that a uniform draw can round to, because rounding is monotone.
        exact = narrow and bool((low + self._width <= high).all())
        self._clamps = self._dtype != self._work or not (exact or free)

    def draw(self, size: tuple[int, ...]) -> Tensor:
        values = torch.empty(size, dtype=self._work, device=self._device)
        if self._ends is not None:
            values.uniform_(*self._ends)
        elif len(self._parts) == 1:
            values = self._parts[0][1](values)
        else:
            for where, rule in self._parts:
                values = torch.where(where, rule(torch.empty_like(values)), values)
        if self._clamps:
            values = torch.minimum(torch.maximum(values, self._low), self._high).to(self._dtype)
        return values

    def _between(self, out: Tensor) -> Tensor:
        return torch.addcmul(self._low, out.uniform_(), self._width)

    def _across(self, out: Tensor) -> Tensor:
        """Uniform where the width may be too large to be a number."""
        share = out.uniform_()
        return self._low * (1 - share) + self._high * share

    def _upwards(self, out: Tensor) -> Tensor:
        return self._low + out.exponential_() * self._scale(self._low)

    def _downwards(self, out: Tensor) -> Tensor:
        return self._high - out.exponential_() * self._scale(self._high)

    def _normal(self, out: Tensor) -> Tensor:
        return out.normal_()

    def _scale(self, bound: Tensor) -> Tensor:
        """The mean distance from ``bound``: one, or a thousand steps of the dtype where these are larger."""
        return (bound.abs() * (1024 * torch.finfo(self._dtype).eps)).clamp(min=1.0)


class IntegerInterval(Interval):
    """Integers and booleans, uniform between the bounds, whose width may be all of int64."""

    def __init__(self, box: ContinuousBox) -> None:
        self._dtype, self._device = box.dtype, box.work_low.device
        self._low, self._high = box.work_low, box.work_high
        span = self._high - self._low  # modulo 2**64: negative stands for 2**63 and more
        few = bool(((span >= 0) & (span < _FEW)).all())
        self._count = span + 1 if few else None
        fits = few and box.ends is not None and box.ends[1] < 2**63 - 1  # randint's end is excluded
        self._ends = (int(self._low), int(self._high) + 1) if fits else None
        self._bits = _all_bits_below(span)
        # randint knows no wider unsigned dtypes
        self._narrow = self._dtype not in (torch.uint16, torch.uint32)

    def draw(self, size: tuple[int, ...]) -> Tensor:
        if self._ends is not None:
            dtype = self._dtype if self._narrow else torch.int64
            return torch.randint(*self._ends, size, dtype=dtype, device=self._device).to(self._dtype)
        if self._count is not None:
            drawn = torch.empty(size, dtype=torch.int64, device=self._device).random_()
            return drawn.remainder_(self._count).add_(self._low).to(self._dtype)
        return self._rejecting(size).to(self._dtype)

    def _rejecting(self, size: tuple[int, ...]) -> Tensor:
        """Exactly uniform: as many random bits as the width has, again wherever they lead outside."""
        low, high, bits = (bound.expand(size) for bound in (self._low, self._high, self._bits))
        values = low + (self._random_bits(size) & bits)
        outside = (values < low) | (values > high)
        while bool(outside.any()):  # at least every second draw stays
            again = low[outside] + (self._random_bits((int(outside.sum()),)) & bits[outside])
            values[outside] = again
            outside = (values < low) | (values > high)
        return values

    def _random_bits(self, size: tuple[int, ...]) -> Tensor:
        return torch.empty(size, dtype=torch.int64, device=self._device).random_(-(2**63), None)


class NoInterval(Interval):
    """What draws nothing: tensors of ``dtype`` on the device "meta", which have a shape only."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def draw(self, size: tuple[int, ...]) -> Tensor:
        return torch.empty(size, dtype=self._dtype, device="meta")


def _all_bits_below(span: Tensor) -> Tensor:
    """The smallest ``2**k - 1`` that is at least ``span``, both taken as unsigned."""
    bits = span
    for shift in (1, 2, 4, 8, 16, 32):
        bits = bits | (bits >> shift)
    return bits

"""Numbers between two bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.boxed import BoxedSpec
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape, home_of
from envcli.specs.space import ContinuousBox
from envcli.specs.spec import as_tensor, domain_of

__all__ = ["Bounded", "BoundedContinuous", "BoundedDiscrete"]

_FEW = 16  # numbers for which a Python loop over a list is faster than numpy, which takes longer to start


class Bounded(BoxedSpec):
    """All tensors with ``low <= value <= high``, element by element, both ends included.

    ``low`` and ``high`` are numbers, arrays or tensors that broadcast to ``shape``, and are copied. Without ``shape``
    it is theirs; two numbers need one. The dtype is torch's default where none is given, whatever the bounds are. A
    bound may be infinite for floats. The domain is continuous for floats and discrete for the others, and each spec is
    a :class:`BoundedContinuous` or a :class:`BoundedDiscrete` accordingly, as in TorchRL; ``domain`` may say it too.

    Raises SpecError where a bound is NaN, is not a value of an integer dtype, or ``low`` exceeds ``high``; or where
    ``domain`` is not that of the dtype.

    >>> spec = Bounded(-1, 1, shape=(2,))
    >>> spec.project(torch.tensor([0.5, 3.0]))
    tensor([0.5000, 1.0000])
    >>> Bounded(1, 6, shape=(), dtype=torch.int64).zero()
    tensor(1)
    >>> isinstance(spec, BoundedContinuous)
    True
    """

    def __init__(
        self,
        low: float | Tensor | npt.ArrayLike,
        high: float | Tensor | npt.ArrayLike,
        shape: Shape | None = None,
        device: DeviceLike = None,
        dtype: torch.dtype | None = None,
        domain: str | None = None,
    ) -> None:
        device, dtype = as_device(device), dtype or torch.get_default_dtype()
        home = home_of(device)
        lows, highs = _bound("low", low, dtype, home), _bound("high", high, dtype, home)
        size = _common_shape(lows, highs, shape)
        self._box = ContinuousBox(lows.expand(size), highs.expand(size))
        super().__init__(size, self._box, device, dtype, domain_of(dtype, domain))
        if type(self) in (Bounded, BoundedContinuous, BoundedDiscrete):  # and not a subclass of somebody else's
            self.__class__ = BoundedContinuous if self.domain == "continuous" else BoundedDiscrete

    @property
    def low(self) -> Tensor:
        """The smallest member, of this shape and dtype."""
        return self._box.low

    @property
    def high(self) -> Tensor:
        """The largest member, of this shape and dtype."""
        return self._box.high

    def cardinality(self) -> float:
        """The number of members: infinity for floats, the exact product for integers (TorchRL: infinity)."""
        if self.domain == "continuous":
            return float("inf")
        lows, highs = (bound.to(torch.int64).flatten().tolist() for bound in (self.low, self.high))
        return int(math.prod(high - low + 1 for low, high in zip(lows, highs, strict=True)))

    def _holds(self, value: Tensor) -> bool:
        return self._box.contains(value)

    def _array_test(self) -> Callable[[npt.NDArray[Any]], bool]:
        low, high = self.low.cpu().numpy(), self.high.cpu().numpy()
        if self.numel() > _FEW or self.ndim != 1:
            return lambda row: bool(((row >= low) & (row <= high)).all())
        bounds: list[tuple[Any, Any]] = list(zip(low.tolist(), high.tolist(), strict=True))

        def few(row: npt.NDArray[Any]) -> bool:
            return all(least <= x <= most for x, (least, most) in zip(row.tolist(), bounds, strict=True))

        return few

    def _members_in_words(self) -> str:
        return f" within [{self.low.min().item():g}, {self.high.max().item():g}]"

    def _misfit(self, row: Tensor, place: list[int]) -> str:
        outside = ~self._box.inside(row)
        found, low, high = (
            bound[outside][0].item() for bound in (row, self.low.to(row.device), self.high.to(row.device))
        )
        at = [*place, *outside.nonzero()[0].tolist()]
        return f"{found:g}{f' at {at}' if at else ''}: expected from {low:g} to {high:g}"

    def _stacked(self, specs: Sequence[Self], where: int) -> Self:
        low, high = (torch.stack([getattr(spec, end) for spec in specs], where) for end in ("low", "high"))
        return type(self)(low, high, low.shape, self._device, self._dtype)

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        low, high = move(self.low), move(self.high)
        return type(self)(low, high, low.shape, device or self._device, dtype or self._dtype)


class BoundedContinuous(Bounded):
    """A :class:`Bounded` of floats. Called with another dtype, it makes a :class:`BoundedDiscrete`."""


class BoundedDiscrete(Bounded):
    """A :class:`Bounded` of integers or booleans. Called with a dtype of floats, it makes the other kind."""


def _bound(name: str, bound: object, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``bound`` in ``dtype``; an integer dtype must hold it exactly."""
    if dtype.is_complex or dtype == torch.uint64:
        raise SpecError(f"no bounds of dtype {dtype}. Use int64, or two floats for a complex number.")
    tensor = as_tensor(bound)
    cast = tensor.to(device, dtype)
    changes = tensor.dtype != dtype and not dtype.is_floating_point
    if changes and not torch.equal(cast.to(tensor.dtype), tensor.to(device)):
        raise SpecError(f"{name}={bound!r} cannot be a bound of {dtype}: it does not fit.")
    return cast


def _common_shape(low: Tensor, high: Tensor, shape: Shape | None) -> torch.Size:
    """``shape``, to which both bounds must broadcast, or else the shape of the bounds."""
    if shape is None and not low.ndim and not high.ndim:
        raise SpecError("two numbers do not give a shape. Give shape=(1,), or shape=() for one number.")
    wanted = "each other" if shape is None else f"shape {list(as_shape(shape))}"
    try:
        together = np.broadcast_shapes(low.shape, high.shape)
        size = torch.Size(together) if shape is None else as_shape(shape)
        if np.broadcast_shapes(together, size) == size:
            return size
        reason = "that shape is too small"
    except ValueError as error:
        reason = str(error)
    raise SpecError(f"low {list(low.shape)} and high {list(high.shape)} do not broadcast to {wanted}: {reason}.")

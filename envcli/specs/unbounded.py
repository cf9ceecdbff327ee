"""Any number at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Self

import numpy.typing as npt
import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.boxed import BoxedSpec
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape, home_of
from envcli.specs.space import ContinuousBox
from envcli.specs.spec import domain_of

__all__ = ["Unbounded", "UnboundedContinuous", "UnboundedDiscrete"]


class Unbounded(BoxedSpec):
    """All tensors of a shape and dtype: floats (NaN and infinity too), integers or booleans.

    ``shape`` is ``[1]`` and ``dtype`` torch's default where they are not given, as in TorchRL. The domain is
    continuous for floats and discrete for the others, and each spec is an :class:`UnboundedContinuous` or an
    :class:`UnboundedDiscrete` accordingly, as there; ``domain`` may say it too. Raises SpecError for complex dtypes
    and uint64, and where ``domain`` is not that of the dtype.

    >>> Unbounded((2,), dtype=torch.uint8).is_in(torch.tensor([0, 255], dtype=torch.uint8))
    True
    """

    def __init__(
        self,
        shape: Shape = (1,),
        device: DeviceLike = None,
        dtype: torch.dtype | None = None,
        domain: str | None = None,
    ) -> None:
        size, device, dtype = as_shape(shape), as_device(device), dtype or torch.get_default_dtype()
        self._whole = _everything(dtype, home_of(device))
        self._box = self._whole.expand(size)
        super().__init__(size, self._box, device, dtype, domain_of(dtype, domain))
        if type(self) in (Unbounded, UnboundedContinuous, UnboundedDiscrete):  # and not a subclass of somebody else's
            self.__class__ = UnboundedContinuous if self.domain == "continuous" else UnboundedDiscrete

    def cardinality(self) -> float:
        """The number of members: infinity for floats, else all values of the dtype for each element."""
        if self.domain == "continuous":
            return float("inf")
        return int((int(self._whole.work_high) - int(self._whole.work_low) + 1) ** self.numel())

    def _holds(self, value: Tensor) -> bool:
        return True

    def _array_test(self) -> Callable[[npt.NDArray[Any]], bool]:
        return lambda row: True

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        return type(self)(self._moved_shape(move), device or self._device, dtype or self._dtype)


class UnboundedContinuous(Unbounded):
    """An :class:`Unbounded` of floats. Called with another dtype, it makes an :class:`UnboundedDiscrete`."""


class UnboundedDiscrete(Unbounded):
    """An :class:`Unbounded` of integers or booleans, int64 unless told otherwise.

    Called with a dtype of floats, it makes an :class:`UnboundedContinuous`.
    """

    def __init__(self, shape: Shape = (1,), device: DeviceLike = None, dtype: torch.dtype = torch.int64) -> None:
        super().__init__(shape, device, dtype)


@cache
def _everything(dtype: torch.dtype, device: torch.device) -> ContinuousBox:
    """The box ``[]`` of all values of ``dtype``."""
    if dtype.is_complex or dtype == torch.uint64:
        raise SpecError(f"no spec of dtype {dtype}. Use int64, or two floats for a complex number.")
    if dtype.is_floating_point:
        ends = (-float("inf"), float("inf"))
    else:
        ends = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    low, high = (torch.tensor(end, dtype=dtype, device=device) for end in ends)
    return ContinuousBox(low, high)

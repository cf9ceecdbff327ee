"""Bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy.typing as npt
import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape
from envcli.specs.space import BinaryBox
from envcli.specs.spec import TensorSpec

__all__ = ["Binary"]

_MOST_LISTED = 2**20


class Binary(TensorSpec):
    """All tensors of zeros and ones: ``n`` bits along the last dimension, or any ``shape``.

    Raises SpecError where neither is given, or ``shape`` does not end with ``n``.

    >>> Binary(3).project(torch.tensor([-2.0, 0.4, 0.6]))
    tensor([0, 0, 1], dtype=torch.int8)
    """

    def __init__(
        self,
        n: int | None = None,
        shape: Shape | None = None,
        device: DeviceLike = None,
        dtype: torch.dtype = torch.int8,
    ) -> None:
        if n is None and shape is None:
            raise SpecError("Binary needs a number of bits. Write Binary(n) or Binary(shape=...).")
        size = as_shape((n,) if shape is None and n is not None else shape or ())
        if n is not None and size[-1:] != (n,):
            raise SpecError(f"the shape of Binary({n}) must end with {n}, found {list(size)}.")
        bits = size[-1] if size else 1
        super().__init__(size, BinaryBox(bits), as_device(device), dtype, "discrete")

    @property
    def n(self) -> int:
        """The number of values of one bit, 2, as in TorchRL."""
        return 2

    def rand(self, shape: Shape = ()) -> Tensor:
        """``[*shape, *self.shape]``, each bit zero or one with equal odds."""
        return torch.randint(2, self._size(shape), dtype=torch.uint8, device=self._device).to(self._dtype)

    def cardinality(self) -> int:
        """The number of members, 2 to the number of bits (TorchRL: 2, however many bits)."""
        return int(2 ** self.numel())

    def enumerate(self, use_mask: bool = False) -> Tensor:
        """All members, ``[2**bits, *self.shape]``, in the order of counting (TorchRL: all zeros and all ones).

        Raises SpecError beyond 20 bits.
        """
        bits = self.numel()
        if 2**bits > _MOST_LISTED:
            raise SpecError(f"{bits} bits have too many members to list. Draw some with rand().")
        places = torch.arange(bits - 1, -1, -1, device=self._device)
        members = torch.arange(2**bits, device=self._device).unsqueeze(-1) >> places & 1
        return members.to(self._dtype).reshape(-1, *self._shape)

    def to_one_hot(self, val: Tensor, safe: bool = True) -> Tensor:
        """``val``, ``[*lead, *self.shape]``, as bool ``[*lead, *self.shape, 2]``; ``safe`` checks it first."""
        if safe:
            self.assert_is_in(val)
        return torch.stack([val == 0, val == 1], -1)

    def to_one_hot_spec(self) -> TensorSpec:
        """The OneHot, bool ``[*self.shape, 2]``, with one vector for each bit."""
        return self._kinds["OneHot"](2, (*self._shape, 2), self._device)

    def to_categorical(self, val: Tensor, safe: bool = True) -> Tensor:
        """``val`` itself: a bit is the number of its own choice; ``safe`` checks it first."""
        if safe:
            self.assert_is_in(val)
        return val

    def to_categorical_spec(self) -> TensorSpec:
        """The Categorical of two choices for each bit, of the same dtype."""
        return self._kinds["Categorical"](2, self._shape, self._device, self._dtype)

    def _holds(self, value: Tensor) -> bool:
        return value.dtype == torch.bool or bool(((value == 0) | (value == 1)).all())

    def _array_test(self) -> Callable[[npt.NDArray[Any]], bool]:
        return lambda row: bool(((row == 0) | (row == 1)).all())

    def _nearest(self, value: Tensor) -> Tensor:
        return (value > 0.5).to(self._dtype) if value.is_floating_point() else (value > 0).to(self._dtype)

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        return type(self)(None, self._moved_shape(move), device or self._device, dtype or self._dtype)

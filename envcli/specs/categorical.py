"""One of n, as a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy.typing as npt
import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.choices import Choices
from envcli.specs.discrete import DiscreteSpec
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape
from envcli.specs.space import CategoricalBox
from envcli.specs.spec import TensorSpec

__all__ = ["Categorical"]


class Categorical(DiscreteSpec):
    """All tensors of whole numbers from 0 to ``n - 1``; ``shape`` is ``[]`` unless given.

    ``mask``, bool, broadcasts to ``[*shape, n]`` and forbids where it is False. Raises SpecError where ``dtype`` cannot
    hold ``n - 1``.

    >>> spec = Categorical(3, mask=torch.tensor([True, False, True]))
    >>> spec.is_in(torch.tensor(1)), spec.project(torch.tensor(9)).item()
    (False, 2)
    """

    def __init__(
        self,
        n: int,
        shape: Shape | None = None,
        device: DeviceLike = None,
        dtype: torch.dtype = torch.int64,
        mask: Tensor | None = None,
    ) -> None:
        self._n = int(n)
        if torch.tensor(self._n - 1).to(dtype).to(torch.int64) != self._n - 1:
            raise SpecError(f"{dtype} cannot hold {n} choices. Use int64.")
        size = as_shape(() if shape is None else shape)
        super().__init__(size, CategoricalBox(self._n), as_device(device), dtype, mask)

    @property
    def n(self) -> int:
        """The number of choices, allowed or not."""
        return self._n

    def rand(self, shape: Shape = ()) -> Tensor:
        """``[*shape, *self.shape]``, each allowed choice equally likely."""
        return self._choices.draw(self._size(shape)).to(self._dtype)

    def cardinality(self) -> int:
        """The number of choices of one element, allowed or not: the shape counts as a batch, as in TorchRL."""
        return self._n

    def enumerate(self, use_mask: bool = False) -> Tensor:
        """The choices, ``[n, *self.shape]``; each holds for all elements, because the shape counts as a batch.

        ``use_mask=True`` leaves out what the mask forbids; raises SpecError where it differs between elements.
        """
        members = torch.arange(self._n, device=self._device)
        if use_mask and self._mask is not None:
            members = members[self._common_mask()]
        return members.to(self._dtype).view(-1, *[1] * self.ndim).repeat(1, *self._shape)

    def to_one_hot(self, val: Tensor, safe: bool = True) -> Tensor:
        """``val``, ``[*lead, *self.shape]``, as bool ``[*lead, *self.shape, n]``; ``safe`` checks it first."""
        if safe:
            self.assert_is_in(val)
        return val.to(torch.int64).unsqueeze(-1) == torch.arange(self._n, device=val.device)

    def to_one_hot_spec(self) -> TensorSpec:
        """The OneHot, bool ``[*self.shape, n]``, of the same choices and mask."""
        return self._kinds["OneHot"](self._n, (*self._shape, self._n), self._device, mask=self._mask)

    def to_categorical(self, val: Tensor, safe: bool = True) -> Tensor:
        """``val`` itself; ``safe`` checks it first."""
        if safe:
            self.assert_is_in(val)
        return val

    def to_categorical_spec(self) -> TensorSpec:
        """This spec."""
        return self

    def index(self, index: Tensor, tensor_to_index: Tensor) -> Tensor:
        """The entries ``tensor_to_index[..., index]``."""
        return tensor_to_index[..., index.to(torch.int64)]

    def _mask_shape(self) -> torch.Size:
        return torch.Size((*self._shape, self._n))

    def _choose(self, mask: Tensor | None) -> Choices:
        assert self._device is not None
        return Choices(self._n, mask, self._device)

    def _holds(self, value: Tensor) -> bool:
        return self._choices.allow(value)

    def _stacked(self, specs: Sequence[Self], where: int) -> Self:
        most = max(spec._n for spec in specs)
        masks = [torch.nn.functional.pad(spec._mask_or_all(), (0, most - spec._n)) for spec in specs]
        mask = torch.stack(masks, where)
        return type(self)(most, mask.shape[:-1], self._device, self._dtype, mask)

    def _array_test(self) -> Callable[[npt.NDArray[Any]], bool]:
        if self._mask is not None or self._dtype.is_floating_point:  # 1.5 is none of the choices
            return super()._array_test()
        last = self._n - 1
        return lambda row: bool((row >= 0).all() and (row <= last).all())

    def _members_in_words(self) -> str:
        return f" in 0..{self._n - 1}"

    def _nearest(self, value: Tensor) -> Tensor:
        return self._choices.nearest(value).to(self._dtype)

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        mask = None if self._mask is None else move(self._mask)
        return type(self)(self._n, self._moved_shape(move), device or self._device, dtype or self._dtype, mask)

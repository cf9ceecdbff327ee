"""Several choices at once, as numbers."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.choices import Choices
from envcli.specs.discrete import DiscreteSpec
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape, home_of
from envcli.specs.space import BoxList
from envcli.specs.spec import TensorSpec, as_tensor

__all__ = ["MultiCategorical"]

_MOST_LISTED = 2**20


class MultiCategorical(DiscreteSpec):
    """All tensors of whole numbers, each from 0 to one less than its entry in ``nvec``.

    ``nvec``, integers of any shape, broadcasts to ``shape``, which is its own unless given: ``[2, 3]`` is one element
    of two choices and one of three. ``mask``, bool, broadcasts to ``[*shape[:-1], sum(nvec)]``, where ``nvec`` is one
    row: first the choices of the first element, then those of the next. With a mask the last dimension stays whole.

    Raises SpecError where ``nvec`` holds something below 1 or what ``dtype`` cannot hold, or does not fit ``shape``.

    >>> spec = MultiCategorical([2, 3])
    >>> spec.is_in(torch.tensor([1, 2])), spec.is_in(torch.tensor([2, 1])), spec.cardinality()
    (True, False, 6)
    """

    def __init__(
        self,
        nvec: list[int] | tuple[int, ...] | Tensor | int,
        shape: Shape | None = None,
        device: DeviceLike = None,
        dtype: torch.dtype = torch.int64,
        mask: Tensor | None = None,
    ) -> None:
        device = as_device(device)
        counts = as_tensor(nvec).to(home_of(device), torch.int64)
        counts = counts if counts.ndim or shape is not None else counts.unsqueeze(0)
        size = counts.shape if shape is None else as_shape(shape)
        try:
            self._nvec = counts.clone().expand(size)
        except RuntimeError as error:
            raise SpecError(f"nvec {list(counts.shape)} does not broadcast to shape {list(size)}.") from error
        most = int(counts.max()) if counts.numel() else 1
        if counts.numel() and (int(counts.min()) < 1 or torch.tensor(most - 1).to(dtype).to(torch.int64) != most - 1):
            raise SpecError(f"nvec must hold integers from 1 to what {dtype} can hold, found {counts.tolist()}.")
        # A batch of one row is listed once: a spec expanded to thousands of envs would else list thousands of boxes.
        rows = self._nvec.reshape(-1, *size[-1:])
        listed = rows[0] if len(rows) and bool((rows == rows[0]).all()) else self._nvec
        super().__init__(size, BoxList.of(listed), device, dtype, mask)

    @property
    def nvec(self) -> Tensor:
        """The number of choices of each element, int64 of this shape."""
        return self._nvec

    def rand(self, shape: Shape = ()) -> Tensor:
        """``[*shape, *self.shape]``, each allowed choice of each element equally likely."""
        return self._choices.draw(self._size(shape)).to(self._dtype)

    def cardinality(self) -> int:
        """The number of members of one row of ``nvec``, allowed or not: what comes before counts as a batch."""
        return math.prod(self._row()) if self.ndim else int(self._nvec)

    def enumerate(self, use_mask: bool = False) -> Tensor:
        """All rows, the last element fastest, ``[cardinality, *self.shape]``; each holds for the whole batch.

        ``use_mask=True`` leaves out what the mask forbids. Raises SpecError where rows of ``nvec`` or masks differ
        within the batch, and beyond a million members.
        """
        if self.cardinality() > _MOST_LISTED:
            raise SpecError(f"{self.cardinality()} members are too many to list. Draw some with rand().")
        row = self._row() if self.ndim else (int(self._nvec),)
        allowed = [torch.arange(n, device=self._device) for n in row]
        if use_mask and self._mask is not None:
            parts = torch.split_with_sizes(self._common_mask(), row)
            allowed = [some[part] for some, part in zip(allowed, parts, strict=True)]
        event = self._shape[-1:]
        members = torch.cartesian_prod(*allowed).to(self._dtype).view(-1, *[1] * (self.ndim - 1), *event)
        return members.expand(-1, *self._shape).clone()

    def to_one_hot(self, val: Tensor, safe: bool = True) -> Tensor:
        """``val``, ``[*lead, *self.shape]``, as bool ``[*lead, *self.shape[:-1], sum(nvec)]``."""
        if safe:
            self.assert_is_in(val)
        columns = [torch.arange(n, device=val.device) for n in self._row()]
        return torch.cat([val[..., i, None] == column for i, column in enumerate(columns)], -1)

    def to_one_hot_spec(self) -> TensorSpec:
        """The MultiOneHot, bool, of the same choices and mask. Raises SpecError where rows of ``nvec`` differ."""
        row = self._row()
        return self._kinds["MultiOneHot"](row, (*self._shape[:-1], sum(row)), self._device, mask=self._mask)

    def to_categorical(self, val: Tensor, safe: bool = True) -> Tensor:
        """``val`` itself; ``safe`` checks it first."""
        if safe:
            self.assert_is_in(val)
        return val

    def to_categorical_spec(self) -> TensorSpec:
        """This spec."""
        return self

    def _row(self) -> tuple[int, ...]:
        """The one row of ``nvec`` that the whole batch shares."""
        rows = self._nvec.reshape(-1, *self._shape[-1:]) if self.ndim else self._nvec[None, None]
        if not len(rows) or not bool((rows == rows[0]).all()):
            raise SpecError(f"the rows of nvec differ: {self._nvec.tolist()}. Call flatten() on the spec first.")
        return tuple(rows[0].tolist())

    def _mask_shape(self) -> torch.Size:
        return torch.Size((*self._shape[:-1], sum(self._row())))

    @property
    def _batch_dims(self) -> int:
        return self.ndim - (self._mask is not None)

    def _choose(self, mask: Tensor | None) -> Choices:
        assert self._device is not None
        if mask is not None:
            return Choices(self._nvec, Choices.split(mask, self._row()), self._device)
        same = self._nvec.numel() > 0 and bool((self._nvec == self._nvec.reshape(-1)[0]).all())
        return Choices(int(self._nvec.reshape(-1)[0]) if same else self._nvec, None, self._device)

    def _holds(self, value: Tensor) -> bool:
        return self._choices.allow(value)

    def _members_in_words(self) -> str:
        return f", each below that in {self._nvec.tolist()}"

    def _nearest(self, value: Tensor) -> Tensor:
        return self._choices.nearest(value).to(self._dtype)

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        nvec, mask = move(self._nvec), None if self._mask is None else move(self._mask)
        return type(self)(nvec, nvec.shape, device or self._device, dtype or self._dtype, mask)

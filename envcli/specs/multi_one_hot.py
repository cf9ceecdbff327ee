"""Several choices at once, as one-hot vectors side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.choices import Choices
from envcli.specs.hot import HotSpec
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape
from envcli.specs.space import BoxList
from envcli.specs.spec import TensorSpec, as_tensor

__all__ = ["MultiOneHot"]


class MultiOneHot(HotSpec):
    """All tensors whose last dimension, ``sum(nvec)``, is a one-hot of size ``n`` for each ``n`` in ``nvec``.

    ``shape`` ends with ``sum(nvec)`` and is that alone unless given. ``mask``, bool, broadcasts to ``shape``. The last
    dimension cannot be indexed or reshaped. Raises SpecError where ``shape`` does not end so, or ``nvec`` is no row of
    positive integers.

    >>> MultiOneHot([2, 3]).encode([1, 0])
    tensor([False,  True,  True, False, False])
    """

    def __init__(
        self,
        nvec: Sequence[int] | Tensor,
        shape: Shape | None = None,
        device: DeviceLike = None,
        dtype: torch.dtype = torch.bool,
        mask: Tensor | None = None,
    ) -> None:
        row = as_tensor(nvec)
        if row.ndim != 1 or not len(row) or int(row.min()) < 1:
            raise SpecError(f"nvec must be a row of positive integers, found {nvec!r}.")
        self._nvec: tuple[int, ...] = tuple(map(int, row.tolist()))
        size = as_shape((sum(self._nvec),) if shape is None else shape)
        if size[-1:] != (sum(self._nvec),):
            raise SpecError(
                f"the shape of MultiOneHot({[*self._nvec]}) must end with {sum(self._nvec)}, found {list(size)}."
            )
        device = as_device(device)
        # For each column, the vector it belongs to and its place there.
        counts = torch.tensor(self._nvec, device=device)
        numbers = torch.arange(len(counts), device=device)
        self._vector = torch.repeat_interleave(numbers, counts, output_size=sum(self._nvec))
        self._place = torch.cat([torch.arange(n, device=device) for n in self._nvec])
        super().__init__(size, BoxList.of(torch.tensor(self._nvec)), device, dtype, mask)

    @property
    def nvec(self) -> tuple[int, ...]:
        """The sizes of the vectors."""
        return self._nvec

    def rand(self, shape: Shape = ()) -> Tensor:
        """``[*shape, *self.shape]``, each allowed choice of each vector equally likely."""
        return self._hot(self._choices.draw((*self._size(shape)[:-1], len(self._nvec))))

    def cardinality(self) -> int:
        """The number of members of one row, allowed or not: what comes before counts as a batch."""
        return math.prod(self._nvec)

    def to_categorical(self, val: Tensor, safe: bool = True) -> Tensor:
        """The indices of ``val``, int64 ``[*lead, *self.shape[:-1], len(nvec)]``; ``safe`` checks it first."""
        if safe:
            self.assert_is_in(val)
        return torch.stack([vector.to(torch.uint8).argmax(-1) for vector in self._vectors(val)], -1)

    def to_categorical_spec(self) -> TensorSpec:
        """The MultiCategorical, int64, of the same choices and mask."""
        shape = (*self._shape[:-1], len(self._nvec))
        return self._kinds["MultiCategorical"](self._nvec, shape, self._device, mask=self._mask)

    def _hot(self, index: Tensor) -> Tensor:
        return (index.index_select(-1, self._vector) == self._place).to(self._dtype)

    def _vectors(self, value: Tensor) -> Sequence[Tensor]:
        return torch.split_with_sizes(value, self._nvec, -1)

    def _index_shape(self) -> torch.Size:
        return torch.Size([*self._shape[:-1], len(self._nvec)])

    def _wanted(self) -> str:
        numbers = f"{len(self._nvec)} whole numbers below {[*self._nvec]}"
        return f"{numbers} that the mask allows for each of {list(self._shape[:-1])}, or one-hots"

    def _choose(self, mask: Tensor | None) -> Choices:
        split = None if mask is None else Choices.split(mask, self._nvec)
        counts = torch.tensor(self._nvec, device=self._place.device)
        return Choices(counts, split, self._place.device)

    def _members_in_words(self) -> str:
        return f", one-hot in each of the parts {[*self._nvec]}"

    def _nearest(self, value: Tensor) -> Tensor:
        missing = -float("inf")  # pads the shorter vectors, and loses against every score
        widest = max(self._nvec)
        scores = value.to(torch.float64).clamp(min=-torch.finfo(torch.float64).max)
        padded = [
            torch.nn.functional.pad(part, (0, widest - part.shape[-1]), value=missing) for part in self._vectors(scores)
        ]
        return self._hot(self._choices.best(torch.stack(padded, -2)))

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        mask = None if self._mask is None else move(self._mask)
        return type(self)(self._nvec, self._moved_shape(move), device or self._device, dtype or self._dtype, mask)

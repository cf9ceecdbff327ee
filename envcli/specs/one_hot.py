"""One of n, as a vector that is one in one place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.choices import Choices
from envcli.specs.hot import HotSpec
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape
from envcli.specs.space import CategoricalBox
from envcli.specs.spec import TensorSpec

__all__ = ["OneHot"]


class OneHot(HotSpec):
    """All tensors that are one in exactly one place along the last dimension, of size ``n``, and zero elsewhere.

    ``shape`` ends with ``n`` and is ``[n]`` unless given. ``mask``, bool, broadcasts to ``shape`` and forbids where it
    is False. The last dimension cannot be indexed or reshaped. Raises SpecError where ``shape`` does not end with n.

    >>> spec = OneHot(3)
    >>> spec.encode(2)
    tensor([False, False,  True])
    >>> spec.project(torch.tensor([0.1, 0.7, 0.2]))
    tensor([False,  True, False])
    """

    def __init__(
        self,
        n: int,
        shape: Shape | None = None,
        device: DeviceLike = None,
        dtype: torch.dtype = torch.bool,
        mask: Tensor | None = None,
    ) -> None:
        self._n = int(n)
        size = as_shape((self._n,) if shape is None else shape)
        if size[-1:] != (self._n,):
            raise SpecError(f"the shape of OneHot({n}) must end with {n}, found {list(size)}.")
        device = as_device(device)
        try:
            self._columns = torch.arange(self._n, device=device)
        except RuntimeError as error:
            raise SpecError(
                f"OneHot({n}) needs {n} numbers for a choice, which there is no memory for. Use Categorical({n}); for "
                "an env of gymnasium categorical_action_encoding=True"
            ) from error
        super().__init__(size, CategoricalBox(self._n), device, dtype, mask)

    @property
    def n(self) -> int:
        """The number of choices, allowed or not."""
        return self._n

    def rand(self, shape: Shape = ()) -> Tensor:
        """``[*shape, *self.shape]``, each allowed choice equally likely."""
        return self._hot(self._choices.draw(self._size(shape)[:-1]))

    def cardinality(self) -> int:
        """The number of choices of one vector, allowed or not: what comes before counts as a batch, as in TorchRL."""
        return self._n

    def to_categorical(self, val: Tensor, safe: bool = True) -> Tensor:
        """The index of ``val``, int64 ``[*lead, *self.shape[:-1]]``; ``safe`` checks it first."""
        if safe:
            self.assert_is_in(val)
        return val.to(torch.uint8).argmax(-1)

    def to_categorical_spec(self) -> TensorSpec:
        """The Categorical, int64 ``[*self.shape[:-1]]``, of the same choices and mask."""
        return self._kinds["Categorical"](self._n, self._shape[:-1], self._device, mask=self._mask)

    def index(self, index: Tensor, tensor_to_index: Tensor) -> Tensor:
        """The entries along the last dimension of ``tensor_to_index`` where ``index`` is hot: ``[*, vectors]``."""
        return tensor_to_index[..., index.nonzero()[..., -1]]

    def _hot(self, index: Tensor) -> Tensor:
        return (index.unsqueeze(-1) == self._columns).to(self._dtype)

    def _vectors(self, value: Tensor) -> Sequence[Tensor]:
        return [value]

    def _index_shape(self) -> torch.Size:
        return self._shape[:-1]

    def _wanted(self) -> str:
        allowed = f"from 0 to {self._n - 1} that the mask allows"
        return f"a whole number {allowed} for each of {list(self._shape[:-1])}, or a one-hot"

    def _choose(self, mask: Tensor | None) -> Choices:
        return Choices(self._n, mask, self._columns.device)

    def _array_test(self) -> Callable[[npt.NDArray[Any]], bool]:
        if self._mask is not None:
            return super()._array_test()
        vectors = self._shape[:-1].numel()
        if self._dtype.is_floating_point:
            return lambda row: bool(np.count_nonzero(row) == vectors == np.count_nonzero(row.sum(-1) == 1))
        one = b"\1" + bytes(self._dtype.itemsize - 1)
        ones = int.from_bytes(one * self._shape.numel(), "little")
        least = int.from_bytes((one + bytes(len(one) * (self._n - 1))) * vectors, "little")

        def whole(row: npt.NDArray[Any]) -> bool:
            """The row as one long number: 8 vectors take 1 us, and 12 with numpy, more when caches are cold.

            It has ones only where a one may stand, as many as vectors; and of each vector x & (x - 1) is 0, so that it
            holds at most one.
            """
            text = row.tobytes()
            number = int.from_bytes(text, sys.byteorder)
            return number | ones == ones and text.count(1) == vectors and not number & (number - least)

        return whole

    def _members_in_words(self) -> str:
        return f", one-hot (a single 1 among {self._n})"

    def _nearest(self, value: Tensor) -> Tensor:
        return self._hot(self._choices.best(value))

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        mask = None if self._mask is None else move(self._mask)
        return type(self)(self._n, self._moved_shape(move), device or self._device, dtype or self._dtype, mask)

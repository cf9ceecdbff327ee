"""Mean and standard deviation of a stream, from a few numbers that several processes can share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from envcli.errors import TransformError
from envcli.memory.buffer import Array
from envcli.memory.mapped import mapped
from envcli.memory.shared_memory import SharedMemory

__all__ = ["RunningStatistics"]


class RunningStatistics(ABC):
    """Three tensors that sum up all values ``[*shape]`` so far: the values, their squares, and their number.

    They are changed in place only. A subclass names them in ``PARTS``, in this order, makes them, and writes ``update``
    and ``_weight``: mean and mean of squares are the first two, divided by the weight. In float64 the variance, their
    difference, is off by about ``1e-16 * mean ** 2``, where float32 leaves nothing of N(10000, 1).

    Args:
        shape: of one value.
        tensors: by the names of ``PARTS``.
        batch: a set of numbers for each, ``[*batch, *shape]``; the number is then ``[*batch, 1, ...]``.
    """

    PARTS: ClassVar[tuple[str, str, str]]

    def __init__(self, shape: torch.Size, tensors: dict[str, torch.Tensor], batch: torch.Size) -> None:
        self.shape, self.tensors, self.batch = shape, tensors, batch
        self._view()

    def _view(self) -> None:
        """The tensors as numpy, over the same memory: a look-up costs 0.5 us, and there are six a step."""
        self._first, self._second, self._count = (self.tensors[part].numpy() for part in self.PARTS)

    def __getstate__(self) -> dict[str, Any]:  # Any: whatever a copy needs; the views would be copied apart
        return {"shape": self.shape, "tensors": self.tensors, "batch": self.batch}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._view()

    @abstractmethod
    def update(self, values: Array, decay: float, where: Any = ...) -> None:  # Any: an index of numpy
        """Take ``values``, ``[n, *batch, *shape]``, in; ``where``, ``[*batch]`` bool, has them for some of the batch:
        ``[n, k, *shape]``."""

    @abstractmethod
    def _weight(self, decay: float) -> Any:  # Any: a float, or an array [*batch, 1, ...] of them
        """The divisor of the first two parts; 0 where there were no values."""

    def moments(self, least: float, decay: float = 1.0) -> tuple[Array, Array]:
        """Mean and standard deviation, ``[*batch, *shape]``; 0 and 1 where there were no values.

        ``decay`` is that of the updates; the variance is taken for ``least`` at least.
        """
        weight = self._weight(decay)
        seen = weight != 0
        whole = seen if isinstance(seen, bool) else seen.all()
        if not whole:
            weight = np.where(seen, weight, 1.0)
        mean, std = np.asarray(self._first / weight), np.asarray(self._second / weight)
        std -= mean * mean
        np.maximum(std, least, out=std)
        np.sqrt(std, out=std)
        return mean, std if whole else np.where(seen, std, 1.0)

    def share(self) -> None:
        """Move the tensors to memory that other processes can map, unless they are there already."""
        if mapped(self.tensors[self.PARTS[0]]) is not None:
            return
        self._place = SharedMemory()  # kept: who maps the tensors later finds them by it
        for part, tensor in self.tensors.items():
            rows = self._place((part,), (1, *tensor.shape), tensor.dtype)
            self.tensors[part] = rows[0].copy_(tensor)
        self._view()

    def adopt(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Use ``tensors``, by the names of ``PARTS``, instead, in shared memory perhaps; what they hold counts.

        Raises TransformError unless they are on the host, in the dtypes and the shapes of those that are there.
        """
        for part in self.PARTS:
            found, own = tensors[part], self.tensors[part]
            if (found.shape, found.dtype, found.device) != (own.shape, own.dtype, own.device):
                raise TransformError(
                    f"running statistics: expected {part} as {own.dtype} {list(own.shape)} on {own.device}, "
                    f"found {found.dtype} {list(found.shape)} on {found.device}"
                )
        self.tensors = {part: tensors[part] for part in self.PARTS}
        self._view()

    def fits(self, part: str, shape: torch.Size) -> bool:
        """Can values ``[*shape]`` be copied to this part?"""
        return shape == self.tensors[part].shape

"""Mean and variance of a stream, from sums that several processes may share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from envcli.errors import TransformError
from envcli.memory.buffer import Array
from envcli.memory.shared_memory import SharedMemory, mapped

__all__ = ["RunningSums"]

PARTS = ("sum", "ssq", "count")


class RunningSums:
    """Sum, sum of squares and count of values ``[*shape]``, in float64, changed in place only.

    With a decay ``d`` every update takes the sums times ``d`` first: after updates ``1..n`` the mean is that of all
    values, with weight ``d ** (n - i)`` for those of update ``i``. ``d = 1`` is the plain mean. In float64 the variance
    ``ssq / count - mean ** 2`` is off by about ``1e-16 * mean ** 2``, where float32 leaves nothing of N(10000, 1).

    Args:
        shape: of one value.
    """

    def __init__(self, shape: torch.Size) -> None:
        self.shape = shape
        self.tensors = {
            "sum": torch.zeros(shape, dtype=torch.float64),
            "ssq": torch.zeros(shape, dtype=torch.float64),
            "count": torch.zeros(1, dtype=torch.float64),
        }
        self._view()

    def _view(self) -> None:
        """The sums as numpy, over the same memory: a look-up costs 0.5 us, and there are six a step."""
        self._total, self._squares, self._count = (self.tensors[part].numpy() for part in PARTS)

    def __getstate__(self) -> dict[str, Any]:  # Any: whatever a copy needs; the views would be copied apart
        return {"shape": self.shape, "tensors": self.tensors}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._view()

    def update(self, values: Array, decay: float) -> None:
        """Take ``values``, ``[n, *shape]``, in."""
        values = values.astype(np.float64)
        if decay != 1:
            for part in (self._total, self._squares, self._count):
                part *= decay
        self._total += values[0] if len(values) == 1 else values.sum(0)
        values *= values
        self._squares += values[0] if len(values) == 1 else values.sum(0)
        self._count += len(values)

    def moments(self, least: float) -> tuple[Array, Array]:
        """Mean and standard deviation, ``[*shape]``, the variance taken for ``least`` at least; 0 and 1 of nothing."""
        count = self._count.item()
        if count == 0:
            return np.zeros(self.shape), np.ones(self.shape)
        mean, std = np.asarray(self._total / count), np.asarray(self._squares / count)
        std -= mean * mean
        np.maximum(std, least, out=std)
        return mean, np.sqrt(std, out=std)

    def share(self) -> None:
        """Move the sums to memory that other processes can map, unless they are in such already."""
        if mapped(self.tensors["count"]) is not None:
            return
        self._place = SharedMemory()  # kept: who maps the sums later finds them by it
        for part, tensor in self.tensors.items():
            self.tensors[part] = self._place((part,), tuple(tensor.shape), tensor.dtype).copy_(tensor)
        self._view()

    def adopt(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Use ``tensors`` (``sum``, ``ssq``, ``count``) instead, in shared memory perhaps; what they hold counts.

        Raises TransformError unless they are float64 on the host, in the shapes of the sums.
        """
        for part in PARTS:
            found, own = tensors[part], self.tensors[part]
            if (found.shape, found.dtype, found.device) != (own.shape, own.dtype, own.device):
                raise TransformError(
                    f"running sums: expected {part} as {own.dtype} {list(own.shape)} on {own.device}, "
                    f"found {found.dtype} {list(found.shape)} on {found.device}"
                )
        self.tensors = {part: tensors[part] for part in PARTS}
        self._view()

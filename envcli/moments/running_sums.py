"""Mean and variance of a stream, from sums."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from envcli.memory.buffer import Array
from envcli.moments.running_statistics import RunningStatistics

__all__ = ["RunningSums"]


class RunningSums(RunningStatistics):
    """Sum, sum of squares and count of values ``[*shape]``, in float64, changed in place only.

    With a decay ``d`` every update takes the sums times ``d`` first: after updates ``1..n`` the mean is that of all
    values, with weight ``d ** (n - i)`` for those of update ``i``. ``d = 1`` is the plain mean.

    Args:
        shape: of one value.
    """

    PARTS: ClassVar[tuple[str, str, str]] = ("sum", "ssq", "count")

    def __init__(self, shape: torch.Size) -> None:
        sizes = {"sum": shape, "ssq": shape, "count": torch.Size([1])}
        tensors = {part: torch.zeros(size, dtype=torch.float64) for part, size in sizes.items()}
        super().__init__(shape, tensors, batch=torch.Size())

    def update(self, values: Array, decay: float, where: Any = ...) -> None:  # Any: an index of numpy
        """Take ``values``, ``[n, *shape]``, in."""
        values = values.astype(np.float64)
        if decay != 1:
            for part in (self._first, self._second, self._count):
                part *= decay
        self._first += values[0] if len(values) == 1 else values.sum(0)
        values *= values
        self._second += values[0] if len(values) == 1 else values.sum(0)
        self._count += len(values)

    def _weight(self, decay: float) -> float:
        weight: float = self._count.item()
        return weight

"""Mean and variance of a stream, from moving averages."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch

from envcli.memory.buffer import Array
from envcli.moments.running_statistics import RunningStatistics

__all__ = ["RunningAverages"]

_NO_BATCH = torch.Size()


class RunningAverages(RunningStatistics):
    """Moving averages of values ``[*shape]`` and of their squares, in float64, and how many there were, int64.

    They begin with 0, and with a decay ``d`` one value more takes ``loc`` to ``d * loc + (1 - d) * value``: after ``n``
    values it is ``1 - d ** n`` of their weighted mean, and is divided by that. ``n`` values of one update count as if
    each of them was their mean. ``d = 1`` is the plain mean. ``var``, as TorchRL calls it, is the average of squares.

    Args:
        shape: of one value.
        batch: averages for each, ``[*batch, *shape]``.
    """

    PARTS: ClassVar[tuple[str, str, str]] = ("loc", "var", "count")

    def __init__(self, shape: torch.Size, batch: torch.Size = _NO_BATCH) -> None:
        each = torch.Size([*batch, *[1] * len(shape)]) if batch else _NO_BATCH
        loc, var = (torch.zeros([*batch, *shape], dtype=torch.float64) for _ in range(2))
        super().__init__(shape, {"loc": loc, "var": var, "count": torch.zeros(each, dtype=torch.int64)}, batch)

    def update(self, values: Array, decay: float, where: Any = ...) -> None:  # Any: an index of numpy
        """See :class:`RunningStatistics`."""
        n = len(values)
        if not n:
            return
        values = values.astype(np.float64)
        self._count[where] += n
        weight = n / self._count[where] if decay == 1 else -math.expm1(n * math.log(decay))
        self._first[where] += weight * ((values[0] if n == 1 else values.sum(0) / n) - self._first[where])
        values *= values
        self._second[where] += weight * ((values[0] if n == 1 else values.sum(0) / n) - self._second[where])

    def _weight(self, decay: float) -> Any:  # Any: a float, or an array [*batch, 1, ...] of them
        if self._count.ndim:
            return np.sign(self._count) if decay == 1 else -np.expm1(self._count * math.log(decay))
        count = self._count.item()
        return float(count > 0) if decay == 1 else -math.expm1(count * math.log(decay))

    def fits(self, part: str, shape: torch.Size) -> bool:
        """TorchRL counts once for a whole batch."""
        return super().fits(part, shape) or (part == "count" and shape == _NO_BATCH)

"""An axis: from values to places, and the round values that are marked."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["Scale"]

_WIDE_RANGE = 16  # from this ratio of largest to least on, the axis is logarithmic


class Scale:
    """An axis over ``values``, at least one, with round ends.

    It is logarithmic, ``log``, if all values are positive and far apart, and ``may_be_log`` allows it.
    """

    def __init__(self, values: Iterable[float], from_zero: bool = False, may_be_log: bool = False) -> None:
        found = list(values)
        low, high = min(found), max(found)
        self.log = may_be_log and low > 0 and high / low >= _WIDE_RANGE
        if self.log:
            self.ticks = _powers(low, high)
        else:
            self.ticks = _round(min(low, 0) if from_zero else low, max(high, 0) if from_zero else high)
        self.low, self.high = self.ticks[0], self.ticks[-1]

    def share(self, value: float) -> float:
        """The place of ``value``: 0 is the low end, 1 the high end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def label(self, tick: float) -> str:
        """A tick as text, as short as possible.

        >>> [Scale([0, 25000]).label(tick) for tick in (0, 25000)], Scale([0, 0.5]).label(0.25)
        (['0', '25k'], '0.25')
        """
        size = max(abs(self.low), abs(self.high))
        for unit, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
            if size >= unit and not self.log:
                return f"{tick / min(unit, 1e3 if name == 'k' else unit):.4g}{name}" if tick else "0"
        if self.log and tick >= 1e3:
            power = min(int(math.log10(tick)) // 3, 3)
            return f"{tick / 1e3**power:g}{('', 'k', 'M', 'G')[power]}"
        return f"{tick:.6g}"


def _round(low: float, high: float) -> list[float]:
    """Four to nine values at round distances that enclose both ends.

    >>> _round(0, 97), _round(5, 5)
    ([0.0, 20.0, 40.0, 60.0, 80.0, 100.0], [4.0, 4.5, 5.0, 5.5, 6.0])
    """
    if high - low <= 1e-4 * max(abs(low), abs(high)):  # closer than the six digits of a label can show
        margin = abs(low) * 0.2 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / 5
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * n for n in (1, 2, 2.5, 5, 10) if scale * n >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Powers of two, or of ten if those would be too many."""
    base = 2 if high / low <= 1024 else 10
    first, last = math.floor(math.log(low, base) + 1e-9), math.ceil(math.log(high, base) - 1e-9)
    return [float(base) ** i for i in range(first, last + 1)]

"""A few of many values, evenly spread."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Spread"]

T = TypeVar("T")


class Spread(Generic[T]):
    """Keeps from ``count`` to twice as many of the values offered, all at the same distance, however many there are.

    Every value is kept at first; whenever there are twice as many, every second one goes, and from then on only every
    second one is taken. So the first is always there.

    >>> spread = Spread(4)
    >>> for value in range(100):
    ...     if spread.wants():
    ...         spread.kept.append(value)
    >>> spread.kept
    [0, 16, 32, 48, 64, 80, 96]
    """

    def __init__(self, count: int) -> None:
        self.kept: list[T] = []
        self._count = count
        self._stride, self._seen = 1, 0

    def wants(self) -> bool:
        """Offer the next value: whether it is to be added to ``kept``."""
        wanted = self._seen % self._stride == 0
        if wanted and len(self.kept) == 2 * self._count:
            self.kept = self.kept[::2]
            self._stride *= 2
            wanted = self._seen % self._stride == 0
        self._seen += 1
        return wanted

    def few(self, most: int) -> list[T]:
        """At most ``most`` of what is kept, from the first on, all at the same distance."""
        return self.kept[:: max(1, -(-(len(self.kept) - 1) // (most - 1)))]

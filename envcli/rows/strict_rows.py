"""Rows that take only what is announced of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from envcli.memory.buffer import Array, Rows
from envcli.rows.announced import Announced, AnnouncedNest

__all__ = ["NestedRows", "StrictRows", "strict_rows"]

_FEW = 8  # numbers in a row that Python compares sooner than numpy, whose calls take 1 us
_INTEGERS = (int, np.int64, np.int32, np.uint8, np.int8)
_NUMBERS = (float, np.float64, np.float32, *_INTEGERS)


class StrictRows(Rows, Protocol):
    """``rows[t] = value`` raises SpecError if the value is not as announced, now or when rows are looked at.

    Numbers in arrays are compared with their bounds when the array is in its row: many rows in one go.
    """

    def whole(self, start: int, stop: int) -> int:
        """How far from ``start`` to ``stop`` rows are as announced: the first that is not, or ``stop``."""

    def check(self, t: int) -> None:
        """Raise SpecError if row ``t`` is not as announced."""


class NestedRows:
    """Rows of several entries: how to index the value, and where the entry goes."""

    def __init__(self, inner: Sequence[tuple[Any, Rows]]) -> None:
        self.inner = list(inner)

    def __setitem__(self, t: int, value: Any, /) -> None:  # Any: whatever holds the entries
        for at, rows in self.inner:
            rows[t] = value[at]


def strict_rows(announced: Announced | AnnouncedNest, rows: Rows, where: str) -> StrictRows:
    """``rows`` that raise SpecError, beginning with ``where``, unless a value is as ``announced``."""
    if isinstance(announced, AnnouncedNest):
        assert isinstance(rows, NestedRows)
        return _StrictNest(announced, rows, where)
    if not announced.shape and announced.dtype.kind in "iuf":
        return _StrictNumbers(announced, rows, where)
    if not isinstance(rows, np.ndarray) or announced.dtype.kind == "c" or not announced.size:
        return _StrictValues(announced, rows, where)
    return (_StrictVectors if _is_readable(rows) else _StrictArrays)(announced, rows, where)


def _is_readable(rows: Array) -> bool:
    """Can a memoryview read row after row of ``rows``? It knows no float16."""
    whole = rows.ndim == 2 and rows.size and rows.strides[1] == rows.itemsize and rows.strides[0] % rows.itemsize == 0
    return bool(whole) and rows.dtype.char != "e"


class _StrictNest:
    def __init__(self, announced: AnnouncedNest, rows: NestedRows, where: str) -> None:
        self._announced, self._where = announced, where
        self._inner = [
            (at, strict_rows(entry, inner, f"{where}.{name}"))
            for (at, name, entry), (_, inner) in zip(announced.entries, rows.inner, strict=True)
        ]

    def __setitem__(self, t: int, value: Any, /) -> None:
        self._announced.check_names(value, self._where)
        for at, rows in self._inner:
            rows[t] = value[at]

    def whole(self, start: int, stop: int) -> int:
        for _, rows in self._inner:
            stop = rows.whole(start, stop)
        return stop

    def check(self, t: int) -> None:
        for _, rows in self._inner:
            rows.check(t)


class _StrictValues:
    """Every value is looked at as it comes: for what rows hold in another form."""

    def __init__(self, announced: Announced, rows: Any, where: str) -> None:
        self._announced, self._rows, self._where = announced, rows, where

    def __setitem__(self, t: int, value: Any, /) -> None:
        self._announced.check(value, self._where)
        self._rows[t] = value

    def whole(self, start: int, stop: int) -> int:
        return stop

    def check(self, t: int) -> None:
        return


class _StrictNumbers(_StrictValues):
    """Single numbers. Python compares one in 30 ns."""

    def __init__(self, announced: Announced, rows: Any, where: str) -> None:
        super().__init__(announced, rows, where)
        self._kinds = frozenset(_NUMBERS if announced.dtype.kind == "f" else _INTEGERS)
        self._low, self._high = announced.low.item(), announced.high.item()

    def __setitem__(self, t: int, value: Any, /) -> None:
        if value.__class__ not in self._kinds or not self._low <= value <= self._high:
            self._announced.check(value, self._where)
        self._rows[t] = value


class _StrictArrays(_StrictValues):
    """Arrays that rows hold as they are."""

    _rows: Array

    def __init__(self, announced: Announced, rows: Array, where: str) -> None:
        super().__init__(announced, rows, where)
        self._shape, self._dtype = announced.shape, announced.dtype
        self._size = announced.size
        self._anything = announced.unbounded and announced.dtype.kind in "biu"
        self._unbounded, self._symmetric = announced.unbounded, announced.symmetric
        self._few = announced.pairs if 0 < self._size <= _FEW else []
        low, high = announced.laid_out
        self._many = len(low)
        self._low, self._high = low.reshape(-1, *rows.shape[1:]), high.reshape(-1, *rows.shape[1:])

    def __setitem__(self, t: int, value: Any, /) -> None:
        try:
            fits = value.dtype is self._dtype and value.shape == self._shape
        except AttributeError:
            fits = False
        if not fits:
            self._announced.check(value, self._where)
        self._rows[t] = value

    def whole(self, start: int, stop: int) -> int:
        if self._anything:
            return stop
        if stop - start == 1 and self._few:
            return self._whole_row(start)
        while start < stop:
            last = min(start + self._many, stop)
            outside = self._outside(start, last)
            if outside >= 0:
                return start + outside // self._size
            start = last
        return stop

    def _whole_row(self, t: int) -> int:
        for number, (low, high) in zip(self._numbers(t), self._few, strict=True):
            if not low <= number <= high:
                return t
        return t + 1

    def _numbers(self, t: int) -> list[Any]:
        numbers: list[Any] = self._rows[t].ravel().tolist()
        return numbers

    def _outside(self, start: int, stop: int) -> int:
        """Which number of these rows is the first that is out of its bounds; -1: none."""
        return self._found(self._rows[start:stop], self._low[: stop - start], self._high[: stop - start])

    def _found(self, part: Array, low: Array, high: Array) -> int:
        # A search in bytes takes 0.1 us, and ndarray.all() 1 us. A NaN is on neither side of a bound.
        if self._unbounded:
            return np.isfinite(part).tobytes().find(0)
        if self._symmetric:
            return (abs(part) <= high).tobytes().find(0)
        below, above = (part >= low).tobytes().find(0), (part <= high).tobytes().find(0)
        return below if above < 0 or 0 <= below < above else above

    def check(self, t: int) -> None:
        self._announced.check_values(self._rows[t].reshape(self._shape), self._where)


class _StrictVectors(_StrictArrays):
    """Arrays of one dimension. A memoryview takes no other length and no other dtype, in 0.15 us; numpy takes 0.24."""

    def __init__(self, announced: Announced, rows: Array, where: str) -> None:
        super().__init__(announced, rows, where)
        self._step = rows.strides[0] // rows.itemsize  # to the next row: beyond our own numbers may be other envs'
        self._dense = rows.flags.c_contiguous
        if self._dense:
            self._flat = rows.reshape(-1)
        else:
            length = (len(rows) - 1) * self._step + self._size
            self._flat = np.lib.stride_tricks.as_strided(rows, (length,), (rows.itemsize,))
        self._view = self._flat.data
        self._quick = self._dense and self._symmetric
        self._low_flat, self._high_flat = self._low.reshape(-1), self._high.reshape(-1)

    def __setitem__(self, t: int, value: Any, /) -> None:
        at = t * self._step
        try:
            self._view[at : at + self._size] = value
        except (TypeError, ValueError):
            self._announced.check(value, self._where)
            self._rows[t] = value

    def whole(self, start: int, stop: int) -> int:
        if not self._quick or stop - start > self._many:
            return super().whole(start, stop)
        size = self._size  # as above, without the calls between: a third of what an episode of CartPole's pays
        if stop - start == 1 and self._few:
            for number, (low, high) in zip(self._view[start * size : stop * size].tolist(), self._few):  # noqa: B905
                if not low <= number <= high:
                    return start
            return stop
        part = self._flat[start * size : stop * size]
        outside = (abs(part) <= self._high_flat[: len(part)]).tobytes().find(0)
        return stop if outside < 0 else start + outside // size

    def _numbers(self, t: int) -> list[Any]:
        return self._view[t * self._step : t * self._step + self._size].tolist()

    def _outside(self, start: int, stop: int) -> int:
        if not self._dense:
            return super()._outside(start, stop)
        part = self._flat[start * self._size : stop * self._size]  # in one dimension: two thirds of the time
        return self._found(part, self._low_flat[: len(part)], self._high_flat[: len(part)])

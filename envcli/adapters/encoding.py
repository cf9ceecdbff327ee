"""One entry of a row, and the same value as another library represents it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from envcli.errors import ActionError
from envcli.memory.buffer import Array

__all__ = ["Encoding", "Numbers", "OneHots", "Same"]


class Encoding(ABC):
    """Converts rows ``[*lead, *ours]`` to values of another library, ``[*lead, *theirs]``, and back.

    The shape of a single number of theirs is ``()``.

    Attributes:
        proves: what :meth:`inward` gives is a member of its spec, and need not be looked at again.
    """

    proves = True

    def __init__(self, ours: tuple[int, ...], theirs: tuple[int, ...], our_dtype: Any, their_dtype: Any) -> None:
        self.ours, self.theirs = ours, theirs
        self.our_dtype, self.their_dtype = np.dtype(our_dtype), np.dtype(their_dtype)

    @abstractmethod
    def outward(self, row: Array) -> Any:
        """``row`` as the other library represents it, in fresh memory. A single number is a numpy scalar."""

    def reader(self, row: Array) -> Callable[[], Any]:
        """A function that returns :meth:`outward` of what ``row`` holds when it is called."""
        return lambda: self.outward(row)

    @abstractmethod
    def inward(self, value: Any, lead: tuple[int, ...], name: str) -> Array:
        """``[*lead, *ours]`` of a value of the other library. Raises ActionError, with ``name``, if it does not fit."""

    def writer(self, row: Array, name: str) -> Callable[[Any], None]:
        """A function that writes :meth:`inward` of a value into ``row``."""
        lead = self.lead(row)

        def write(value: Any) -> None:
            row[...] = self.inward(value, lead, name)

        return write

    def _given(self, value: Any, lead: tuple[int, ...], name: str) -> Array:
        """``value`` as an array, if it has the right shape, and numbers in it."""
        try:
            array: Array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:  # a ragged list, a tensor that has a graph
            expected = f"numbers of shape {[*lead, *self.theirs]}"
            raise ActionError(f"{name}: expected {expected}, found a {type(value).__name__}: {error}") from None
        if array.shape != (*lead, *self.theirs):
            raise ActionError(f"{name}: expected shape {[*lead, *self.theirs]}, found {list(array.shape)}")
        kinds = "biuf" if self.their_dtype.kind == "f" else "biu"
        if array.dtype.kind not in kinds:
            expected = "numbers" if kinds == "biuf" else "whole numbers"
            raise ActionError(f"{name}: expected {expected}, found {array.dtype}")
        return array

    def lead(self, row: Array) -> tuple[int, ...]:
        """The leading dimensions of ``row``."""
        shape: tuple[int, ...] = row.shape
        return shape[: row.ndim - len(self.ours)]


class Same(Encoding):
    """The same numbers; shape and dtype may differ, but not their count or the kind of dtype."""

    proves = False

    def reader(self, row: Array) -> Callable[[], Any]:
        if self.ours == self.theirs != () and self.our_dtype == self.their_dtype:
            return row.copy  # 0.4 us instead of 3.7
        return super().reader(row)

    def outward(self, row: Array) -> Any:
        return row.astype(self.their_dtype).reshape((*self.lead(row), *self.theirs))

    def inward(self, value: Any, lead: tuple[int, ...], name: str) -> Array:
        array = self._given(value, lead, name)
        row: Array = array.astype(self.our_dtype).reshape((*lead, *self.ours))
        if self.our_dtype.kind != "f" and not np.array_equal(row.reshape(array.shape), array):
            raise ActionError(f"{name}: {array.tolist()} is out of the range of {self.our_dtype}")
        return row


class Numbers(Encoding):
    """Choices as numbers on both sides; theirs need not begin at 0.

    Args:
        counts: ``[*theirs]``, of the choices.
        starts: the same, the first of them.
    """

    def __init__(self, ours: tuple[int, ...], our_dtype: Any, their_dtype: Any, counts: Any, starts: Any = 0) -> None:
        self._counts = np.asarray(counts, np.int64)  # numpy makes floats of uint64 beside int64
        self._starts = np.broadcast_to(np.asarray(starts, np.int64), self._counts.shape)
        super().__init__(ours, self._counts.shape, our_dtype, their_dtype)

    def outward(self, row: Array) -> Any:
        return self._named(row.reshape((*self.lead(row), *self.theirs)))

    def inward(self, value: Any, lead: tuple[int, ...], name: str) -> Array:
        return self._numbers(value, lead, name).astype(self.our_dtype).reshape((*lead, *self.ours))

    def _named(self, numbers: Array) -> Any:
        return (numbers + self._starts).astype(self.their_dtype)[()]

    def _numbers(self, value: Any, lead: tuple[int, ...], name: str) -> Array:
        numbers: Array = self._given(value, lead, name).astype(np.int64) - self._starts
        outside = (numbers < 0) | (numbers >= self._counts)
        if outside.any():
            at = tuple(np.argwhere(outside)[0])
            place = tuple(int(i) for i in at[len(lead) :])
            first, count = int(self._starts[place]), int(self._counts[place])
            env = f" for env {int(at[0])}" if lead else ""
            raise ActionError(
                f"{name}{list(place) if place else ''}: expected a whole number from {first} to {first + count - 1}, "
                f"found {int(numbers[at]) + first}{env}"
            )
        return numbers


class OneHots(Numbers):
    """Choices that are one-hot vectors on our side, one after the other, and numbers on theirs."""

    def __init__(self, ours: tuple[int, ...], our_dtype: Any, their_dtype: Any, counts: Any, starts: Any = 0) -> None:
        super().__init__(ours, our_dtype, their_dtype, counts, starts)
        flat = self._counts.reshape(-1)
        self._columns = np.cumsum(flat) - flat  # where each vector begins
        self._equal = int(flat[0]) if len(set(flat.tolist())) == 1 else None

    def writer(self, row: Array, name: str) -> Callable[[Any], None]:
        if self.theirs or row.ndim > 1:
            return super().writer(row, name)
        start, count = int(self._starts), int(self._counts)

        def write(value: Any) -> None:  # of a single number: 2 us, and 50 by way of arrays
            number = int(value) - start if isinstance(value, int | np.integer) else -1
            if not 0 <= number < count:
                number = int(self._numbers(value, (), name))
            row.fill(0)
            row[number] = 1

        return write

    def outward(self, row: Array) -> Any:
        lead = self.lead(row)
        if self._equal is not None:
            numbers = row.reshape((*lead, *self.theirs, self._equal)).argmax(-1)
        else:
            parts = np.split(row.reshape((*lead, -1)), self._columns[1:], axis=-1)
            numbers = np.stack([part.argmax(-1) for part in parts], axis=-1).reshape((*lead, *self.theirs))
        return self._named(numbers)

    def inward(self, value: Any, lead: tuple[int, ...], name: str) -> Array:
        numbers = self._numbers(value, lead, name)
        row = np.zeros((math.prod(lead), math.prod(self.ours)), self.our_dtype)
        places = numbers.reshape(len(row), len(self._columns)) + self._columns
        row[np.arange(len(row))[:, None], places] = 1
        return row.reshape((*lead, *self.ours))

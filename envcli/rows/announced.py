"""What a simulator announces of its values, and whether a value is as announced."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from envcli.errors import ConfigError, SpecError
from envcli.memory.buffer import Array

__all__ = ["CHECKS", "CURE", "UNFIT", "Announced", "AnnouncedNest", "check_flag", "check_mode", "explaining"]

UNFIT = (TypeError, ValueError, OverflowError, LookupError)
"""What rows raise that do not take a value."""

CHECKS = ("full", "first", "off")
"""When a backend holds what its simulator returns against what it announces."""

CURE = "Fix the simulator, or skip the check: backend.checks=off, in Python checks='off'"
"""What ends each message."""

_ROWS = 256
_ROUNDINGS = 4  # of values that took a few operations
_KINDS = {"b": "b", "i": "biu", "u": "biu", "f": "biuf", "c": "biufc"}  # announced -> found: what may stand for it


def check_mode(checks: object) -> str:
    """``checks``, or a ConfigError that names the three there are."""
    if checks is False:  # as YAML reads a bare off
        checks = "off"
    if checks not in CHECKS:
        raise ConfigError(f"checks: expected one of {', '.join(CHECKS)}, found {checks!r}")
    return str(checks)


class Announced:
    """One number or array, as a simulator announces it.

    A value is as announced if it has the shape, a dtype that loses nothing but precision (a float64 or an integer may
    stand for a float32, a float may not stand for an integer), is finite, and lies within the bounds, which are
    included, and which a float may miss by a few roundings. What numpy would stretch to the shape is refused. Infinity
    is refused too, also where a bound is infinite: that says that there is no bound, and one infinity in a batch makes
    its mean and its gradients NaN.

    Attributes:
        unbounded: every finite number of the dtype is within the bounds.
        symmetric: they are floats, and the same below zero as above.

    Args:
        shape: ``[*value]``.
        dtype: of the rows that take it.
        low, high: bounds, that broadcast to ``shape``; None: whatever is finite.
    """

    def __init__(self, shape: Sequence[int], dtype: Any, low: Any = None, high: Any = None) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.size = math.prod(self.shape)
        lowest, highest = _range(self.dtype)
        self.low: Array = _bound(lowest if low is None else np.maximum(low, lowest), self)
        self.high: Array = _bound(highest if high is None else np.minimum(high, highest), self)
        self._declared = self.low, self.high
        if self.dtype.kind == "f":
            slack = _slack(*self._declared)
            self.low, self.high = np.asarray(self.low - slack), np.asarray(self.high + slack)
        self.symmetric = self.dtype.kind == "f" and bool((self.low == -self.high).all())
        self.unbounded = bool((self.low == lowest).all() and (self.high == highest).all())

    @cached_property
    def laid_out(self) -> tuple[Array, Array]:
        """The bounds of several rows, ``[rows, size]``: to compare with them takes half the time of repeating one row.

        Of values of more than 256 numbers, one row.
        """
        rows = _ROWS if self.size <= _ROWS else 1
        return np.tile(self.low.reshape(-1), (rows, 1)), np.tile(self.high.reshape(-1), (rows, 1))

    @cached_property
    def pairs(self) -> list[tuple[Any, Any]]:
        """The two bounds of each number."""
        return list(zip(self.low.ravel().tolist(), self.high.ravel().tolist(), strict=True))

    def check(self, value: Any, where: str) -> None:
        """Raise SpecError unless ``value`` is as announced; ``where`` begins the message."""
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError):  # a ragged list, a tensor that is elsewhere or has a graph
            raise SpecError(f"{where}: expected {self}, found {_short(value)}. {CURE}") from None
        if array.shape != self.shape and array.dtype.kind not in "OSU":
            shapes = f"expected shape {self.shape} as the env declares, found {array.shape}"
            if not self.shape:
                shapes = f"expected a single number, found an array of shape {array.shape}"
            raise SpecError(f"{where}: {shapes}: {_short(value)}. {CURE}")
        if array.shape != self.shape or array.dtype.kind not in _KINDS[self.dtype.kind]:
            kind = "" if array.dtype.kind in "OSU" else f"{array.dtype} "
            raise SpecError(f"{where}: expected {self}, found {kind}{_short(value)}. {CURE}")
        self.check_values(array, where)

    def check_values(self, array: Array, where: str) -> None:
        """``check`` of an array of the right shape and kind."""
        if self.dtype.kind in "fc":  # as the row will hold it: a float64 may be beyond a float32 by less than it sees
            with np.errstate(over="ignore"):
                array = array.astype(self.dtype)
        numbers = self.dtype.kind != "c"
        inside = (array >= self.low) & (array <= self.high) if numbers else np.isfinite(array)
        outside = np.logical_not(inside)
        if outside.any():
            at = tuple(int(i) for i in np.argwhere(outside)[0])
            place = f" at {list(at)}" if self.shape not in ((), (1,)) else ""
            low, high = self._declared
            expected = f"{low[at]} to {high[at]}"
            if not numbers or not np.isfinite(array[at]):
                expected = "a finite number"
            more = f", and {outside.sum() - 1} more" if outside.sum() > 1 else ""
            raise SpecError(f"{where}: expected {expected}, found {array[at]}{place}{more}. {CURE}")

    def __str__(self) -> str:
        return f"{self.dtype} of shape {self.shape}" if self.shape else f"a number, {self.dtype}"


class AnnouncedNest:
    """Several values under names, or in order: a mapping has exactly these keys, a sequence this many entries.

    Args:
        entries: how to index the value, what the entry is called, and what is announced of it.
        keyed: whether the value is a mapping, and not a sequence.
    """

    def __init__(self, entries: Sequence[tuple[Any, str, Announced | AnnouncedNest]], keyed: bool) -> None:
        self.entries = list(entries)
        self.keyed = keyed
        self._names = {at for at, _, _ in entries} if keyed else set()

    def check(self, value: Any, where: str) -> None:
        """Raise SpecError unless ``value`` holds these entries and no others, each as announced."""
        self.check_names(value, where)
        for at, name, entry in self.entries:
            entry.check(value[at], f"{where}.{name}")

    def check_names(self, value: Any, where: str) -> None:
        """``check`` of what there is, whatever its value."""
        if not isinstance(value, Mapping if self.keyed else Sequence | np.ndarray):
            expected = f"entries {sorted(map(str, self._names))}" if self.keyed else f"{len(self.entries)} entries"
            raise SpecError(f"{where}: expected {expected}, found {_short(value)}. {CURE}")
        if not self.keyed and len(value) != len(self.entries):
            raise SpecError(f"{where}: expected {len(self.entries)} entries, found {len(value)}. {CURE}")
        if self.keyed and (missing := self._names - set(value)):
            raise SpecError(f"{where}: expected an entry {_one(missing)}, found {_listed(value)}. {CURE}")
        if self.keyed and (more := set(value) - self._names):
            raise SpecError(f"{where}: found {_one(more)}, which is not declared: {_listed(self._names)} are. {CURE}")


@contextmanager
def explaining(error: Exception) -> Iterator[None]:
    """Around a check of what rows did not take, which raised ``error``: no ``checks`` would have let it pass."""
    if isinstance(error, SpecError):  # it explains itself
        raise error
    try:
        yield
    except SpecError as found:
        said = str(found)
        raise SpecError(said.removesuffix(CURE) + "Fix the simulator" * said.endswith(CURE)) from error


def check_flag(value: Any, where: str) -> None:
    """Raise SpecError unless ``value`` is true or false: a bool, or a single 0 or 1, of whatever library."""
    if isinstance(value, bool | np.bool_):
        return
    try:
        found = np.asarray(value)
        fine = not found.ndim and found.dtype.kind in "biuf" and found in (0, 1)
    except (TypeError, ValueError, RuntimeError):  # see Announced.check
        fine = False
    if not fine:
        raise SpecError(f"{where}: expected true or false, found {_short(value)}. {CURE}")


def _range(dtype: Any) -> tuple[Any, Any]:
    if dtype.kind == "b":
        return False, True
    limits: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return limits.min, limits.max


def _bound(values: Any, announced: Announced) -> Array:
    dtype = announced.dtype if announced.dtype.kind != "c" else np.dtype(float)
    return np.broadcast_to(np.asarray(values, dtype), announced.shape)


def _slack(low: Array, high: Array) -> Array:
    """By how much numbers as large as the bounds are rounded: a cosine of 1 + 2e-16 is nobody's mistake."""
    largest = np.maximum(abs(low), abs(high))
    bounded = largest < np.finfo(largest.dtype).max / 2  # else there is no bound, or no number beyond it
    return np.asarray(np.where(bounded, largest, 0) * np.finfo(largest.dtype).eps * _ROUNDINGS)


def _one(names: set[Any]) -> str:
    return repr(min(names, key=str))


def _listed(names: Any) -> str:
    return str(sorted(map(str, names)))


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"{value.dtype} {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."

"""Between rows of a buffer and engines that step a batch at once: observations in, actions out.

As :mod:`envcli.gym.spaces` for single envs, of which a leaf of a space is one entry. Values begin with the number of
envs, as ``gymnasium.vector.utils.batch_space`` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from envcli.keys import Key, places
from envcli.memory.buffer import Array, RolloutBuffer

__all__ = ["VectorRows", "vector_reader"]

Space = spaces.Space[Any]
Reader = Callable[[int | slice], Any]
Leaf = tuple[tuple[Any, ...], Callable[[Array], Array] | None, Array]
"""Where in a native value it is, what it becomes (None: it is taken as it is), and its rows ``[time, n, *value]``."""


class VectorRows:
    """The rows of an observation of ``n`` envs.

    Args:
        space: of a single env.
        path: its key in ``buffer``; what is nested in the space is nested under it.
        buffer: whose rows.
    """

    def __init__(self, space: Space, path: Key, buffer: RolloutBuffer) -> None:
        self._leaves = list(_leaves(space, path, (), buffer))

    def put(self, t: int, value: Any) -> None:  # Any: an array, or a dict or tuple of them, as the space is
        """Row ``t`` becomes ``value``, ``[n, ...]``."""
        for place, convert, rows in self._leaves:
            found = _at(value, place)
            rows[t] = found if convert is None else convert(found)

    def put_where(self, t: int, where: Array, value: Any) -> None:  # Any: see above
        """The same for the envs in ``where``, ``[n]`` bool, alone: ``value`` is of all envs, or of these."""
        count = np.count_nonzero(where)
        for place, convert, rows in self._leaves:
            found = _at(value, place)
            found = found if len(found) == count else found[where]
            rows[t][where] = found if convert is None else convert(found)

    def put_at(self, t: Array, envs: Array, values: Sequence[Any], where: Array) -> None:  # Any: see above
        """``values``, one after the other, become the rows ``t`` of ``envs``, ``[n]``; those in ``where`` alone."""
        everywhere = where.all()
        place = (t, envs) if everywhere else (t[where], envs[where])
        for inner, convert, rows in self._leaves:
            found = [_at(value, inner) for value in values]
            joined = found[0] if len(found) == 1 else np.concatenate(found)
            joined = joined if everywhere else joined.compress(where, 0)  # a mask takes ten times as long
            rows[place] = joined if convert is None else convert(joined)

    @property
    def nbytes(self) -> int:
        """How much memory one row takes."""
        return sum(rows[0].nbytes for _, _, rows in self._leaves)


def vector_reader(space: Space, path: Key, buffer: RolloutBuffer) -> Reader:
    """``read(t)``: row ``t`` of ``path`` as the actions ``[n, ...]`` of an engine, in memory of their own.

    Of a slice of rows: ``[rows, n, ...]``.
    """
    match space:
        case spaces.Dict():
            named = {at: vector_reader(child, (*path, name), buffer) for at, name, child in places(space.spaces)}
            return lambda t: {at: read(t) for at, read in named.items()}
        case spaces.Tuple():
            ordered = [vector_reader(child, (*path, name), buffer) for _, name, child in places(space.spaces)]
            return lambda t: tuple(read(t) for read in ordered)
        case spaces.Discrete():
            return _numbers(buffer.array(path), 2, int(space.start), space.dtype)
        case spaces.MultiDiscrete():
            return _several_numbers(space, buffer.array(path))
    rows = buffer.array(path)
    one = rows.shape[2:] if space.shape is None else space.shape

    def read(t: int | slice) -> Array:
        found = rows[t]
        return found.reshape(*found.shape[: found.ndim - rows.ndim + 2], *one).copy()

    return read


def _numbers(rows: Array, plain: int, start: Any, dtype: Any) -> Reader:
    """``rows`` as numbers from ``start`` on: they are such if they have ``plain`` dimensions, or else one-hot."""
    if rows.ndim == plain:
        return lambda t: (rows[t] + start).astype(dtype)
    return lambda t: (rows[t].argmax(-1) + start).astype(dtype, copy=False)


def _several_numbers(space: spaces.MultiDiscrete, rows: Array) -> Reader:
    counts, start = np.asarray(space.nvec), np.asarray(space.start)
    if rows.shape[2:] == counts.shape or rows.ndim == 4:  # numbers, or one-hot vectors of one length
        return _numbers(rows, 2 + counts.ndim, start, space.dtype)
    ends = np.cumsum(counts)[:-1]

    def read(t: int | slice) -> Array:
        parts = [part.argmax(-1) for part in np.split(rows[t], ends, axis=-1)]
        return (np.stack(parts, -1) + start).astype(space.dtype)

    return read


def _leaves(space: Space, path: Key, place: tuple[Any, ...], buffer: RolloutBuffer) -> Iterator[Leaf]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        for at, name, child in places(space.spaces):
            yield from _leaves(child, (*path, name), (*place, at), buffer)
        return
    rows = buffer.array(path)
    yield place, _conversion(space, rows), rows


def _conversion(space: Space, rows: Array) -> Callable[[Array], Array] | None:
    shape = rows.shape[2:]
    if isinstance(space, spaces.Box):
        return None if space.shape == shape else lambda value: value.reshape(-1, *shape)
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return None
    start = np.asarray(space.start)
    counts = [int(space.n)] if isinstance(space, spaces.Discrete) else np.asarray(space.nvec).tolist()
    if shape == (() if isinstance(space, spaces.Discrete) else np.asarray(space.nvec).shape):
        return lambda value: value - start
    units = [np.eye(n, dtype=rows.dtype) for n in counts]

    def one_hot(value: Array) -> Array:
        numbers = (value - start).reshape(len(value), len(units))
        vectors = [unit[numbers[:, i]] for i, unit in enumerate(units)]
        return np.concatenate(vectors, -1).reshape(-1, *shape)

    return one_hot


def _at(value: Any, place: tuple[Any, ...]) -> Any:  # Any: see VectorRows.put
    for name in place:
        value = value[name]
    return value

"""Rows of many envs that one engine steps, each env at its own pace."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from envcli.backends.vector_rows import VectorRows
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import any_of
from envcli.rows.done_family import EndRows

__all__ = ["Answer", "VectorPaces"]

Answer = tuple[Any, Array, Array, Array, Any]
"""Observation, reward, terminated, truncated, each ``[envs, ...]``, and the info: as each engine has them."""

_BLOCK = 64  # steps of the engine that are kept and then written at once; few of large values
_BLOCK_BYTES = 2**20


class VectorPaces:
    """Makes the rows of one buffer with an engine that begins an env that is done anew in a step of its own.

    That step makes no row. To make it for a few envs while all others wait takes as long as a step of all, and of 64
    CartPoles some are done in every row. So all are stepped on, and whose episode has ended falls a row behind; who has
    reached the last row is stepped no more. What each env shows is what it would show row by row.

    Args:
        buffer: whose rows.
        first, following: those of the observation, at the root and under next.
        actions: ``actions(rows)``: those of a slice of rows, ``[rows, envs, ...]``.
        send: ``send(actions, envs)`` begins a step of these envs, numbers ``[envs]``; None: of all.
        receive: ends it; memory that is not used again.
    """

    def __init__(
        self,
        buffer: RolloutBuffer,
        first: VectorRows,
        following: VectorRows,
        actions: Callable[[slice], Array],
        send: Callable[[Array, Array | None], None],
        receive: Callable[[], Answer],
    ) -> None:
        self._first, self._following = first, following
        self._actions, self._send, self._receive = actions, send, receive
        self._reward = buffer.array(("next", "reward"))[..., 0]
        self._flags = EndRows(buffer)
        self._block = min(_BLOCK, 1 + _BLOCK_BYTES // following.nbytes)
        self._num_envs = buffer.batch_size[0]

    def autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        """See :meth:`envcli.rows.row_env.RowEnv._autoreset_rows`."""
        n, steps = self._num_envs, stop - start
        actions = self._actions(slice(start, stop))
        actions = actions.reshape(steps * n, *actions.shape[2:])
        place, anew, envs = np.arange(n), np.zeros(n, dtype=bool), None
        row = np.array([n, 0])  # to the next one, or to none, where an episode has begun
        made: list[_Made] = []
        for step in count(1):
            self._send(actions.take(place, 0, mode="clip"), envs)
            if len(made) == self._block:
                self._write(made, start, stop - (not onward))  # the engine works meanwhile
                made = []
            observation, reward, terminated, truncated, _ = self._receive()
            made.append(_Made(place, anew, reward, terminated, truncated, observation))
            place = place + row.take(anew)
            anew = terminated | truncated
            if step >= steps:  # some may have made all of their rows
                on = (place < steps * n) | (anew & onward)
                place, anew = place[on], anew[on]
                envs = place % n
                if not len(envs):
                    break
        self._write(made, start, stop - (not onward))

    def _write(self, steps: list[_Made], start: int, last: int) -> None:
        """What the engine gave, into next, and into the root up to row ``last``."""
        place, anew, reward, terminated, truncated = (
            np.concatenate(values) for values in list(zip(*steps, strict=True))[:-1]
        )
        shown = [step.observation for step in steps]
        rows, envs = np.divmod(place, self._num_envs)
        rows += start
        stepped, ended = ~anew, terminated | truncated
        self._following.put_at(rows, envs, shown, stepped)
        self._reward[rows[stepped], envs[stepped]] = reward[stepped]
        if any_of(ended):
            self._flags.mark((rows[ended], envs[ended]), terminated[ended], truncated[ended])
        rows += stepped
        self._first.put_at(rows, envs, shown, ~ended & (rows <= last))


class _Made(NamedTuple):
    """One step of the engine; everything is ``[envs, ...]``."""

    place: Array  # the number of the row, from the first that is led, times that of all envs, and of the env
    anew: Array  # these made no row: that row of the root is where they begin
    reward: Array
    terminated: Array
    truncated: Array
    observation: Any  # Any: as the space is

"""The env as it is before one transform, for transforms that make steps of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from envcli.keys import Key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs

__all__ = ["InnerEnv", "Saved", "put_back"]

Saved = list[tuple[Array, Array]]
"""Rows and what was in them: pairs of a view of one row and a copy of it."""


class InnerEnv:
    """The base env with the transforms before this one, on rows that are bound: it can step and be reset once more.

    A step reads root ``[t]`` and writes next ``[t]``, any number of times. The memory of root ``[t]`` may be the user's
    own: a transform that changes it for further steps must restore it (``saved_reads``, ``saved_actions``,
    :func:`put_back`).

    Args:
        specs: what this stage shows and takes.
        base_env: the innermost env, for its attributes.
        rows: the buffer of this stage.
        step: one step in row ``t``, the transforms before this one included.
        reset: the same for a reset.
        reads: root entries, besides the actions, that a step reads.
    """

    def __init__(
        self,
        specs: EnvSpecs,
        base_env: Any,  # Any: the envs are floors above, and their attributes are the simulator's
        rows: RolloutBuffer,
        step: Callable[[int], None],
        reset: Callable[[int, Array | None], None],
        reads: Iterable[Key],
    ) -> None:
        self.specs, self.base_env, self.rows = specs, base_env, rows
        self._step, self._reset = step, reset
        self._reads = self._moves(reads)
        shown = specs.observation_spec.leaves().keys() | specs.state_spec.leaves().keys()
        self._shown = self._moves(shown - specs._roles().reset_markers)
        self._carried = self._moves(specs._roles().recurrent)
        self._flags = [rows.array(under_next(path)) for path in specs.full_done_spec.leaves()]
        self._ends = [rows.array(under_next(path)) for path in specs._governing_flags()]
        self._next = [rows.array(path) for path in rows if path[0] == "next"]

    def _moves(self, paths: Iterable[Key]) -> list[tuple[Array, Array]]:
        rows = self.rows
        return [(rows.array(under_next(p)), rows.array(p)) for p in paths if p in rows and under_next(p) in rows]

    # -- steps and resets -----------------------------------------------------------------------------------------

    def step_on(self, t: int) -> None:
        """One more step in row ``t``, from where the last one led to, with the action that stands there."""
        for source, target in self._reads:
            target[t] = source[t]
        self.clear_flags(t)
        self._step(t)

    def step(self, t: int) -> None:
        """A step in row ``t``, from what its root says."""
        for following, root in self._carried:
            following[t] = root[t]
        self.clear_flags(t)
        self._step(t)

    def reset(self, t: int, where: Array | None = None) -> None:
        """A reset that writes root ``[t]``."""
        self._reset(t, where)

    def show_last(self, t: int) -> None:
        """Root ``[t]`` shows what the last step led to: observations and state, but not what marks a reset."""
        for source, target in self._shown:
            target[t] = source[t]

    # -- the end of an episode ------------------------------------------------------------------------------------

    def done(self, t: int) -> Array:
        """``[*batch]`` bool: did the last step in row ``t`` end an episode?"""
        batch = self.specs.batch_size
        found: Array = np.zeros(batch, dtype=bool)
        for flags in self._ends:
            found |= flags[t].reshape(*batch, -1).any(axis=len(batch))
        return found

    def clear_flags(self, t: int) -> None:
        """The flags of next ``[t]`` are false, as a step expects them."""
        for flags in self._flags:
            flags[t] = False

    # -- memory that is not ours ----------------------------------------------------------------------------------

    def saved_reads(self, t: int) -> Saved:
        """What root ``[t]`` says of all that a step reads."""
        return saved(target[t : t + 1] for _, target in self._reads)

    def saved_actions(self, t: int) -> Saved:
        """The actions of root ``[t]``."""
        return saved(self.rows.array(path)[t : t + 1] for path in self.specs.full_action_spec.leaves())

    def saved_next(self, t: int) -> Saved:
        """Everything that the last step in row ``t`` led to."""
        return saved(array[t : t + 1] for array in self._next)


def saved(rows: Iterable[Array]) -> Saved:
    """``rows``, views, with a copy of each."""
    return [(row, row.copy()) for row in rows]


def put_back(rows: Saved, where: Array | None = None) -> None:
    """Every row is again what it was; with ``where``, ``[*batch]``, in these envs only."""
    for row, before in rows:
        if where is None:
            row[...] = before
        else:
            row[0][where] = before[0][where]

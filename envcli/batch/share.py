"""A share of a batch: some neighbouring envs, and their rows."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from itertools import compress
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from envcli.batch.lost_envs import LostEnvs
from envcli.batch.noted_rollout import NotedRollout
from envcli.batch.phases import PHASES, RESETTING, STEPPING
from envcli.batch.this_process import this_process
from envcli.envs.env import Env
from envcli.envs.foreign import way_in
from envcli.envs.rollout import Rollout
from envcli.errors import ConfigError
from envcli.keys import Key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import all_of, any_of
from envcli.rows.carry_over import carried_over
from envcli.rows.note import MADE, PHASE, PLACE, ROW, VAGUE, Note, new_note
from envcli.rows.parts import has_parts
from envcli.rows.reset_request import ResetRequest

__all__ = ["Share", "made"]

_LONGEST = 256  # rows that an env makes in one go
_BLIND = 8  # the same for an env that notes none of them, since it is a batch itself
_GO = 0.02  # seconds that one go may take before the next is made shorter: between two, stops_early() is asked


def made(make: Callable[[], Env]) -> Env:
    """The env that ``make`` makes, or ConfigError; without a ``return`` it makes None."""
    env: object = make()
    if not isinstance(env, Env):
        way = way_in(type(env))
        cure = "Does it return the env?" if way is None else f"Have it return {way}(...) of that"
        raise ConfigError(f"create_env_fn: made a {type(env).__name__}, expected an env of envcli. {cure}")
    return env


class Share:
    """Envs ``[n]`` that are made, stepped and reset together, one after the other.

    A batch in one process is one share; each worker of a batch in several processes has one. Both run the same code, so
    their trajectories are the same.

    Args:
        makers: what makes each env.
        note: where the share is, written for a watcher in another process.
        abreast: let no env run ahead of the others, so that another share can go on if this one dies.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], Env]],
        note: Note | None = None,
        abreast: bool = False,
    ) -> None:
        self.note: Any = new_note() if note is None else note
        self.stops_early: Callable[[], bool] = _never
        self.envs: list[Env] = []
        self._paused: Array | None = None
        self._rollouts: dict[int, Rollout] = {}
        self._go = 1
        self._abreast = abreast
        self._lost: set[int] = set()
        self._touched = False  # may the envs have been bound elsewhere, or changed?
        process = this_process()
        try:
            for i, make in enumerate(makers):
                self._mark(i, "build", 0)
                self.envs.append(made(make))
                self.envs[-1]._require_open()  # a batch is not started before it is needed
        except BaseException:
            if this_process() != process:  # a child that an env has forked: these are not its envs
                raise
            failed = self.note[PLACE]
            with suppress(Exception):  # the first failure is the one to be told
                self.close()
            self._mark(failed, "build", 0)
            raise

    def _mark(self, index: int, phase: str, row: int) -> None:
        self.note[PLACE], self.note[PHASE], self.note[ROW] = index, PHASES.index(phase), row

    # -- rows -----------------------------------------------------------------------------------------------------

    def bind(self, buffer: RolloutBuffer, restarted: Mapping[Key, torch.Tensor] = MappingProxyType({})) -> None:
        """Bind every env to its rows of ``buffer``, whose batch begins with ``[n]``.

        ``restarted``: flags ``[time, n, *batch, 1]`` that the envs do not have; see :meth:`lose`.
        """
        first, lead = self.envs[0], 1 + len(buffer.batch_size)
        self._buffer, self._restarted, self._touched = buffer, dict(restarted), False
        self._rows = [buffer.of_envs(i) for i in range(len(self.envs))]
        for env, rows in zip(self.envs, self._rows, strict=True):
            env._attach(rows)
        self._steps = [env._step_row for env in self.envs]
        done = [buffer.array(under_next(path)) for path in first._end_flags()]
        self._done = [rows[..., 0] if rows.shape[-1] == 1 and rows.ndim > lead else rows for rows in done]
        moves = carried_over(first, buffer).items()
        self._moves = [(buffer.array(source), buffer.array(path)) for path, source in moves]
        self._has_parts = has_parts(first)
        self._rollouts.clear()
        self._lost_envs = LostEnvs(first, buffer, restarted)

    def _return(self) -> None:
        """Bind the envs again: a method that was called may have made steps of its own, or appended a transform."""
        self.bind(self._buffer, self._restarted)

    def reset_row(self, t: int, where: Array | None) -> None:
        """``_reset_row`` of the envs in ``where``, ``[n, *batch]``; None: of all."""
        if self._touched:
            self._return()
        note = self.note
        note[PHASE], note[ROW] = RESETTING, t
        if where is None:
            for note[PLACE], env in enumerate(self.envs):
                env._reset_row(t, None)
            self._paused = None
            self._lost.clear()
            return
        self._reset_some(t, where)
        if self._paused is not None:
            self._paused &= ~where

    def _reset_some(self, t: int, where: Array) -> None:
        for i in self._places(where):
            self._reset_one(i, t, where[i] if where.ndim > 1 else None)

    def _places(self, where: Array) -> Iterator[int]:
        """Those of the envs that are in ``where``, ``[n, *batch]``, in whole or in part."""
        asked: Any = where if where.ndim == 1 else where.reshape(len(self.envs), -1).any(axis=1)  # Any: as numpy has it
        return compress(range(len(self.envs)), asked.tolist())

    def _reset_one(self, i: int, t: int, where: Array | None = None) -> None:
        """Reset env ``i``, or if it is a batch itself, those in ``where``."""
        self.note[PLACE] = i
        if where is None or all_of(where):
            self.envs[i]._reset_row(t, None)
            self._lost.discard(i)
        elif i in self._lost:
            self._reset_part_of_lost(i, t, where)
        else:
            self.envs[i]._reset_row(t, where)

    def step_row(self, t: int) -> None:
        """``_step_row`` of all envs except those that are paused or lost."""
        if self._touched:
            self._return()
        note = self.note
        note[PHASE], note[ROW] = STEPPING, t
        if self._paused is None and not self._lost:
            for i, step in enumerate(self._steps):
                note[PLACE] = i
                step(t)
            note[MADE] = 1
            return
        for i, env in enumerate(self.envs):
            paused = None if self._paused is None else self._paused[i]
            if paused is not None and all_of(paused):
                continue
            note[PLACE] = i
            if i in self._lost:
                self._lost_envs.write(i, t)
                continue
            if paused is not None:
                env._pause(paused if any_of(paused) else None)
            env._step_row(t)
        note[MADE] = note[MADE] or not self._lost

    def pause(self, where: Array | None) -> None:
        """Pause the envs in ``where``, ``[n, *batch]``, until they are reset; None: none is paused any more."""
        self._paused = None if where is None else where.copy()

    def autoreset_row(self, t: int, onward: bool) -> None:
        """``step_row``; with ``onward``, the next row too, with a new episode where an env is done."""
        self.step_row(t)
        if not onward:
            return
        for source, target in self._moves:
            target[t + 1] = source[t]
        ended = self._ended(t)
        if ended is None:
            return
        self.note[PHASE], self.note[ROW] = RESETTING, t + 1
        if self._has_parts:
            self._begin_anew(t, ended)
        else:
            self._reset_some(t + 1, ended)

    def _begin_anew(self, t: int, ended: Array) -> None:
        """Begin new episodes in the row after ``t`` of the envs, or parts of envs, that have ``ended`` in ``t``."""
        for i in self._places(ended):
            self.note[PLACE] = i
            if i in self._lost:
                self._reset_one(i, t + 1, ended[i] if ended.ndim > 1 else None)
            else:
                self._rollout(i).begin_anew(t)

    def _ended(self, t: int) -> Array | None:
        """``[n, *batch]``: which envs are done in row ``t``; None: none of them."""
        found: Array | None = None
        for flags in self._done:
            row: Array = flags[t]
            if 1 in row.tobytes():  # 0.2 us; to ask each of 4 envs takes 0.4, and any() 2
                if row.ndim > len(self._buffer.batch_size):
                    row = np.any(row.reshape(*self._buffer.batch_size, -1), axis=-1)
                found = row if found is None else found | row
        return found

    def autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        """``autoreset_row`` for ``start`` to ``stop``: one env after the other, as fast as if alone, or all abreast."""
        if self._abreast or stop == start + 1:
            for t in range(start, stop):
                self.autoreset_row(t, onward or t + 1 < stop)
                if self.stops_early():
                    return
            return
        if self._touched:
            self._return()
        self.note[PHASE] = STEPPING
        for i in range(len(self.envs)):
            rollout = self._rollout(i)
            self.note[PLACE] = i
            blind = self.envs[i]._autoresets
            self.note[VAGUE], self._go = blind, min(self._go, _BLIND if blind else _LONGEST)
            t = start
            while t < stop:
                self.note[ROW] = t
                began, end = time.perf_counter(), min(t + self._go, stop)
                try:
                    rollout.autoreset_rows(t, end, onward or end < stop)
                except BaseException:
                    if self.note[PHASE] == STEPPING:
                        self.note[ROW] = max(t, self._rows[i].filled)
                    raise
                slow = time.perf_counter() - began > _GO
                t, self._go = end, max(self._go // 2, 1) if slow else min(self._go * 2, _BLIND if blind else _LONGEST)
                if self.stops_early():
                    return

    def _rollout(self, i: int) -> Rollout:
        if i not in self._rollouts:
            self._rollouts[i] = NotedRollout(self.envs[i], self._rows[i], self._buffer.steps, self.note)
        return self._rollouts[i]

    # -- instead of another share ---------------------------------------------------------------------------------

    def lose(self) -> None:
        """Take these new envs for replacements of lost ones, whose episodes cannot go on.

        The next step of each is not made, unless it is reset before: it is written as the end of the lost episode.
        """
        self._lost = set(range(len(self.envs)))

    def _reset_part_of_lost(self, i: int, t: int, where: Array) -> None:
        """Reset a part of lost env ``i``, a batch itself: all of it is reset, and it stays lost."""
        env, rows = self.envs[i], self._rows[i]
        shown = [rows.array(path)[t] for path in rows if path[0] != "next"]
        before = [row.copy() for row in shown]
        env._reset_row(t, None)
        for row, old in zip(shown, before, strict=True):
            row[~where] = old[~where]

    # -- other words ----------------------------------------------------------------------------------------------

    def set_seeds(self, seeds: Sequence[int | None]) -> None:
        """One seed for each env."""
        self._touched = True
        for i, (env, seed) in enumerate(zip(self.envs, seeds, strict=True)):
            self._mark(i, "call", 0)
            env.set_seed(seed)

    def train(self, modes: Sequence[bool]) -> None:
        """``train`` of each env, with a mode for each."""
        for i, (env, mode) in enumerate(zip(self.envs, modes, strict=True)):
            self._mark(i, "call", 0)
            env.train(mode)

    def give(self, requests: Sequence[ResetRequest]) -> None:
        """Pass on what the next reset is asked for: one request for each env."""
        for env, request in zip(self.envs, requests, strict=True):
            env._take_reset_request(request)

    def call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], among: Set[int] | None = None
    ) -> list[Any]:
        """The results of the method ``name`` of each env, or of those in ``among``; dots lead on to its attributes."""
        self._touched = True
        found, method = [], operator.attrgetter(name)
        for i, env in enumerate(self.envs):
            if among is None or i in among:
                self._mark(i, "call", 0)
                found.append(method(env)(*args, **kwargs))
        return found

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """``load_state_dict`` of each env."""
        self._touched = True
        for env, state in zip(self.envs, states, strict=True):
            env.load_state_dict(state)

    def get(self, name: str) -> list[Any]:
        """The attribute ``name`` of each env; dots lead on to its attributes."""
        found, attribute = [], operator.attrgetter(name)
        for i, env in enumerate(self.envs):
            self._mark(i, "call", 0)
            found.append(attribute(env))
        return found

    def close(self) -> None:
        """Close every env, even if one of them fails; the first failure is raised at the end."""
        failures: dict[int, BaseException] = {}
        process = this_process()
        for i, env in enumerate(self.envs):
            self._mark(i, "close", 0)
            try:
                env.close()
            except BaseException as error:  # a sys.exit too: the others are to be closed all the same
                if this_process() != process:
                    raise
                failures[i] = error
        if failures:
            first = min(failures)
            self._mark(first, "close", 0)
            raise failures[first]


def _never() -> bool:
    return False

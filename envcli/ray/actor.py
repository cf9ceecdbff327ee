"""What runs in an actor: a share of the envs, which makes rows and sends them back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any

import cloudpickle
import numpy as np
import torch

from envcli.batch.env_summary import EnvSummary
from envcli.batch.fault import Fault
from envcli.batch.serial_env import SerialEnv
from envcli.batch.share import Share
from envcli.envs.env import Env
from envcli.envs.policy_rows import PolicyRows
from envcli.envs.rollout import Rollout
from envcli.keys import Key, under_next
from envcli.memory.buffer import Array, RolloutBuffer, as_array
from envcli.ray.row_chunk import RowChunk
from envcli.rows.note import new_note
from envcli.rows.reset_request import ResetRequest

__all__ = ["Place", "RayActor"]

Place = tuple[int, int, int]
"""Env, phase (see :data:`~envcli.batch.phases.PHASES`; -1: its policy), row: where a share is."""

_MOST = 256  # rows at a time, whatever their size
_BYTES = 2**25  # of rows at a time: they are in memory here, in Ray's store, and once more where they belong


class RayActor:
    """A :class:`SerialEnv`, with as many rows of memory as it makes at a time. Nothing here knows Ray.

    Every answer is text, or rows, or the :class:`Fault` with its place: no exception leaves.

    Args:
        first: the place of its first env in the batch.
        path: where modules are found; what is not there on this machine is passed over.
        dtype: torch's default in the main process.
    """

    def __init__(self, first: int, path: Sequence[str], dtype: torch.dtype) -> None:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(1)  # as in any worker: the cores are shared out by envs
        torch.seed()
        np.random.seed()
        sys.path += [place for place in path if place not in sys.path]
        self.first = first
        self.note = new_note()
        self.stands = 0  # the row that the next step begins with
        self.lost = False
        self.acts: PolicyRows | None = None

    # -- in words -------------------------------------------------------------------------------------------------

    def say(self, text: bytes) -> bytes:
        """Do what ``text``, a pickled name and arguments, says. Returns the pickled answer."""
        try:
            name, args = cloudpickle.loads(text)
            answer: bytes = cloudpickle.dumps(getattr(self, f"_{name}")(*args))
        except BaseException as error:  # a SystemExit too
            answer = cloudpickle.dumps(self._fault(error))
        return answer

    def _fault(self, error: BaseException) -> tuple[Fault, Place]:
        index, phase, row = self.note[:3]
        return Fault.of(error), (index, phase, row)

    def _build(self, makers: Sequence[Callable[[], Env]]) -> dict[int, EnvSummary]:
        self.env = _ShareEnv(makers, self.note)
        self.env.start()
        return EnvSummary.telling(self.env.envs, self.first)

    def _bind(self, marks: Collection[Key]) -> int:
        """How many rows it makes at a time, at most. Of new memory no page is there before it is written.

        ``marks``: the flags that say who was lost, under ``next``.
        """
        env, layout = self.env, self.env._row_layout()
        size = sum(shape.numel() * dtype.itemsize for shape, dtype in layout.values())
        most = max(min(_MOST, _BYTES // max(size, 1)), 1)
        self.buffer = RolloutBuffer.allocate(layout, most + 1, env.batch_size, time_first=True)
        self.buffer.again = True
        env.marks = {path: torch.zeros_like(self.buffer[(*path[:-1], "truncated")]) for path in marks}
        following = [under_next(path) for path in env.full_done_spec.leaves()]
        flags = {*following, *env.full_done_spec.leaves()}
        self.flags = [*map(self.buffer.array, flags), *map(as_array, env.marks.values())]
        self.done = [path for path in following if path[-1] == "done"] or following
        self.actions, self.left = set(env.full_action_spec.leaves()), env._roles().writes_back
        self.shown = {path for path in layout if path[0] != "next"} - self.actions - flags
        self.acts = None
        return most

    def _adopt(self, policy: Callable[..., Any] | None, device: torch.device | None) -> None:
        """From now on actions are chosen here; None: they come with what is to be done."""
        self.buffer.drop_added()
        self.acts = None
        if policy is not None:
            self._act_by(policy, device)

    def _act_by(self, policy: Callable[..., Any], device: torch.device | None) -> None:
        self.acts = _Acting(self.env, self.buffer, policy, device, self.note)

    def _lose(self) -> None:
        self.env.share.lose()
        self.lost = True

    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        self.env.share.set_seeds(seeds)

    def _train(self, modes: Sequence[bool]) -> None:
        self.env.share.train(modes)

    def _give(self, requests: Sequence[ResetRequest]) -> None:
        self.env.share.give(requests)

    def _get(self, name: str) -> list[Any]:
        return self.env.share.get(name)

    def _call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], among: Set[int] | None) -> list[Any]:
        return self.env.share.call(name, args, kwargs, among)

    def _load(self, states: Sequence[Any]) -> None:
        self.env._load_state_dicts(states)

    def _pause(self, where: Array | None) -> None:
        self.env._pause(where)

    def _close(self) -> None:
        self.env.close()

    # -- rows -----------------------------------------------------------------------------------------------------

    def make(self, name: str, *args: Any) -> Any:
        """``reset``, ``step`` or ``lead``: the rows, or what went wrong."""
        try:
            return getattr(self, f"_{name}")(*args)
        except BaseException as error:
            return self._fault(error)

    def _reset(self, where: Array | None) -> RowChunk:
        """See :meth:`RowEnv._reset_row`."""
        self._begin(1, {})
        self.env._attach(self.buffer)
        self.env._reset_row(0, where)
        self.lost = self.lost and where is not None
        return RowChunk.of_root(self.buffer, self.shown)

    def _step(self, given: Mapping[Key, Array]) -> RowChunk:
        """See :meth:`RowEnv._step_row`. ``given``: what the step reads, one row of each."""
        self._begin(1, given)
        self.env._attach(self.buffer)
        self.env._step_row(0)
        return self._steps(1, False, False)

    def _autoreset(self, count: int, onward: bool, given: Mapping[Key, Array]) -> RowChunk:
        """See :meth:`RowEnv._autoreset_rows`. ``given``: the first row, and all actions unless they are chosen here."""
        self._begin(count, given)
        if self.acts is not None:
            Rollout(self.env, self.buffer, self.buffer.steps, self.acts).autoreset_rows(0, count, onward)
        else:
            self.env._attach(self.buffer)
            first = int(self.lost and count > 1)  # a row that nobody makes; then each env goes on for itself
            if first:
                self.env._autoreset_rows(0, 1, True)
            self.env._autoreset_rows(first, count, onward)
        self.stands = count if onward else 0
        return self._steps(count, onward, self.acts is not None)

    def _steps(self, count: int, onward: bool, acted: bool) -> RowChunk:
        self.lost = False
        if not acted:
            chunk = RowChunk.of_steps(self.buffer, count, onward, self.left, self.shown, self.done)
        else:  # who may have rewritten what it read
            chunk = RowChunk.of_steps(self.buffer, count, onward, self.actions | self.left, (), self.done)
            for path in self.shown | self.buffer.added:
                chunk.rows[path] = self.buffer.array(path)[: count + onward]
            chunk.dtypes.update({path: self.buffer[path].dtype for path in self.buffer.added})
        chunk.rows.update({path: as_array(flags)[:count] for path, flags in self.env.marks.items()})
        return chunk

    def _begin(self, count: int, given: Mapping[Key, Array]) -> None:
        """The first row is where the last one led, or what is ``given``; flags are down."""
        buffer = self.buffer
        if self.stands:
            for path in buffer:
                if path[0] != "next":
                    buffer.array(path)[0] = buffer.array(path)[self.stands]
            self.stands = 0
        for flags in self.flags:
            flags[: count + 1] = False
        added = [path for path in given if path not in buffer]
        for path in added:  # a policy's hidden state, say: all rows show it, until somebody writes another
            row = torch.from_numpy(given[path][0].copy())
            buffer.add(path, row)[:] = row
        if added and self.acts is not None:
            self._act_by(self.acts.policy, self.acts.device)
        for path, rows in given.items():
            buffer.array(path)[: len(rows)] = rows
        buffer.filled = 0


class _ShareEnv(SerialEnv):
    """The envs of a share. ``marks``: the flags that say who was lost, of which they know nothing."""

    def __init__(self, makers: Sequence[Callable[[], Env]], note: list[int]) -> None:
        super().__init__(len(makers), list(makers))
        self._note = note
        self.marks: dict[Key, torch.Tensor] = {}

    def _start(self) -> None:
        self._share = Share(self._makers(), self._note)
        self._describe_as({0: EnvSummary.of(self._share.envs[0])})  # who is odd is named by who knows all

    @property
    def share(self) -> Share:
        return self._envs()

    @property
    def envs(self) -> list[Env]:
        return self._envs().envs

    def _bind(self, buffer: RolloutBuffer) -> None:
        self.share.bind(buffer, self.marks)


class _Acting(PolicyRows):
    """A policy that notes when it is asked."""

    def __init__(self, env: Env, buffer: RolloutBuffer, policy: Any, device: torch.device | None, note: Any) -> None:
        super().__init__(env, buffer, policy, device)
        self._note = note

    def write(self, t: int) -> bool:
        self._note[1], self._note[2] = -1, t
        return super().write(t)

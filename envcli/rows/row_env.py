"""The private contract of an env: four hooks that move rows of a buffer. Everything public stands on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Set
from typing import Any

import torch

from envcli.keys import Key, under_next
from envcli.memory.buffer import Array, Place, RolloutBuffer
from envcli.memory.spare_memory import SpareMemory
from envcli.rows.bound_to_rows import BoundToRows
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.note import HALT, ROW, Note, new_note
from envcli.rows.parts import Masks, no_parts
from envcli.rows.reset_request import NO_REQUEST, ResetRequest
from envcli.rows.roles import Roles

__all__ = ["RowEnv"]


class RowEnv(BoundToRows, EnvSpecs, ABC):
    """What an env must write to be one; no TensorDict is seen here and nothing is allocated per step.

    Memory is handed down once, by ``_bind``; the time index ``t`` says which row is meant. A row of the root holds
    observation, state, action and done family; the same row of ``next`` holds what the action led to.
    """

    _seeds_taken = 1  # of the chain of seeds
    _autoresets = False  # can it make many rows at a time, and begin new episodes by itself? See _autoreset_rows
    _bound: RolloutBuffer | None = None
    _is_done: Callable[[int], bool]
    _row_note: Note = new_note()
    _reset_request = NO_REQUEST  # of the reset that is being made: see _reset_on_request

    @abstractmethod
    def _bind(self, buffer: RolloutBuffer) -> None:
        """Remember the rows of ``buffer``: it holds everything of ``_row_layout()``. Called once per buffer."""

    @abstractmethod
    def _reset_row(self, t: int, where: Array | None) -> None:
        """Begin new episodes: write root ``[t]`` of observation (and state).

        Args:
            t: the row.
            where: ``[*batch]`` bool, the envs to reset; None: all. Rows of the others stay as they are.

        The flags of the row are false on entry where a reset was asked for. ``_reset_request`` says what else was.
        """

    def _reset_on_request(self, t: int, where: Array | None, request: ResetRequest) -> None:
        """``_reset_row``; as long as it lasts, ``request`` is known to this env and to those within it."""
        if where is not None:
            request = request.for_some()
        if not request:
            self._reset_row(t, where)
            return
        self._take_reset_request(request)
        try:
            self._reset_row(t, where)
        finally:
            self._take_reset_request(NO_REQUEST)

    def _take_reset_request(self, request: ResetRequest) -> None:
        """The next resets are asked for this. Who resets other envs passes it on to them."""
        self._reset_request = request

    def _reset_parts(self, t: int, masks: Masks) -> None:
        """Begin new episodes in parts of an env: write root ``[t]``, flags too, where ``masks`` say.

        Only an env that is written for it can, and is asked to only where a part has ended and another has not.
        """
        raise no_parts(self)

    @abstractmethod
    def _step_row(self, t: int) -> None:
        """Make the step that root ``[t]`` of action (and state) asks for: write next ``[t]``.

        The action is a member of its spec. The flags of the row are false on entry: write them only where true.
        """

    def _send_row(self, t: int, onward: bool = False) -> None:
        """Begin a step by hand; ``_receive_row`` ends it. Who cannot do anything else meanwhile does all of it here.

        It is ``_step_row``, or with ``onward``, only where ``_autoresets``, ``_autoreset_rows`` of this row and onward.
        """
        if onward:
            self._autoreset_rows(t, t + 1, True)
        else:
            self._step_row(t)

    def _receive_row(self, t: int, onward: bool = False) -> None:
        """Wait for what ``_send_row`` with the same arguments has begun."""

    def _step_rows(self, start: int, stop: int) -> int:
        """``_step_row`` for ``start``, ``start + 1``, ...: at most up to ``stop``, and until an env is done.

        Returns the row after the last, at least ``start + 1``. Actions of all these rows are in place. If a step
        raises, the bound buffer's ``filled`` says how many rows are whole. A backend whose step is cheap may write a
        tighter loop than this one; like this one it notes each row, and leaves off where the note says so.
        """
        step, done, note, t = self._step_row, self._done_test(), self._row_note, start
        try:
            for t in range(start, stop):
                note[ROW] = t
                step(t)
                if done(t) or note[HALT]:
                    return t + 1
        except BaseException:
            self._stopped_in(t)
            raise
        return stop

    def _autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        """``_step_row`` for ``start`` to ``stop``, and a new episode in the row after wherever an env is done.

        Only where ``_autoresets``. Actions of all these rows are in place, and the root of row ``start``; the others
        follow here. With ``onward`` that of row ``stop`` is made too.
        """
        raise NotImplementedError

    def _adopt(self, policy: Callable[..., Any] | None, device: torch.device | None) -> bool:
        """Will ``_autoreset_rows`` choose the actions, until it is given another policy? False: who calls it does.

        Args:
            policy: called with a TensorDict; None: there is none.
            device: where it wants its input.
        """
        return False

    def _note_in(self, note: Note) -> None:
        """Note in ``note`` which row ``_step_rows`` is in."""
        self._row_note = note

    def _stopped_in(self, t: int) -> None:
        """Row ``t`` was left by an exception: those before it are whole."""
        if self._bound is not None:
            self._bound.filled = t

    def _pause(self, where: Array | None) -> None:
        """``[*batch]`` bool: envs that need not be stepped until the next reset, whatever their action; None: none."""

    @abstractmethod
    def _set_seed(self, seed: int | None) -> None:
        """Make the next reset draw from ``seed``."""

    def _close(self) -> None:
        """Let go of the simulator. Called once."""

    def _roles(self) -> Roles:
        """A step reads the state."""
        return Roles(reads=set(self.state_spec.leaves()))

    # -- binding --------------------------------------------------------------------------------------------------

    def _place(self, paths: Set[Key] = frozenset()) -> Place:
        """The memory that this env can be bound to; rows of ``paths``, if they are large, may hold anything."""
        return SpareMemory(paths)

    def _buffer(self, steps: int) -> RolloutBuffer:
        """New rows of this env. Flags are down; other rows, if they are large, hold anything until they are written."""
        layout, flags = self._row_layout(), set(self.full_done_spec.leaves())
        place = self._place(set(layout) - flags - set(map(under_next, flags)))
        return RolloutBuffer.allocate(layout, steps, self.batch_size, place)

    def _attach(self, buffer: RolloutBuffer) -> None:
        """Bind to ``buffer`` unless that is where we are bound already."""
        if not self._is_attached(buffer):
            self.__dict__.pop("_is_done", None)  # it holds the old rows
            self._lock_specs()
            buffer.parts = self._group_parts()
            self._bound_by(self._bind, buffer)
            self._bound = buffer

    def _let_go(self, spare: RolloutBuffer) -> None:
        """Keep nothing of the memory that we are bound to; ``spare`` is there to be bound to instead."""
        self._attach(spare)

    def _unbind(self) -> None:
        """Know no rows any more: the next to come are bound, also if we know them."""
        self._bound = None
        self.__dict__.pop("_is_done", None)  # it holds them too

    def _done_test(self) -> Callable[[int], bool]:
        """Is any env done in row ``t`` of next? For the usual single env, one look-up in a memoryview."""
        if "_is_done" not in self.__dict__:
            assert self._bound is not None
            self._is_done = _done_test(self, self._bound)
        return self._is_done

    def _is_attached(self, buffer: RolloutBuffer) -> bool:
        return self._bound is buffer


def _done_test(env: EnvSpecs, buffer: RolloutBuffer) -> Callable[[int], bool]:
    paths = [under_next(path) for path in env._end_flags()]
    if len(paths) == 1 and not env.batch_size and buffer[paths[0]][0].numel() == 1:
        return buffer.flags(paths[0]).__getitem__
    arrays = [buffer.array(path) for path in paths]
    return lambda t: any(array[t].any() for array in arrays)

"""The private contract of an env: four hooks that move rows of a buffer. Everything public stands on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Set
from typing import Any

import torch

from envcli.keys import Key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import any_of
from envcli.memory.spare_memory import SpareMemory
from envcli.memory.spare_private import SparePrivate
from envcli.rows.bound_to_rows import BoundToRows
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.note import HALT, ROW, Note, new_note
from envcli.rows.parts import Masks, no_parts
from envcli.rows.reset_request import NO_REQUEST, ResetRequest
from envcli.rows.roles import Roles

__all__ = ["RowEnv"]

_SPARE = SparePrivate()


class RowEnv(BoundToRows, EnvSpecs, ABC):
    """The hooks that every env implements. No TensorDict is seen here, and nothing is allocated per step.

    Memory is handed down once, by ``_bind``; the time index ``t`` says which row is meant. A row of the root holds
    observation, state, action and done family; the same row of ``next`` holds what the action led to.
    """

    _seeds_taken = 1  # of the chain of seeds
    _autoresets = False  # can it make many rows at a time, and begin new episodes by itself? See _autoreset_rows
    _recolours: Set[Key] = (
        frozenset()
    )  # images, by their root paths, that it can draw as ``recoloured`` of a buffer says
    _bound: RolloutBuffer | None = None
    _is_done: Callable[[int], bool]
    _row_note: Note = new_note()
    _reset_request = NO_REQUEST  # of the reset that is being made: see _reset_on_request

    @abstractmethod
    def _bind(self, buffer: RolloutBuffer) -> None:
        """Remember the rows of ``buffer``, which has every entry of ``_row_layout()``. Called once per buffer."""

    def _binds_batch_of(self, batch_size: torch.Size) -> bool:
        """Can it be bound to a buffer of ``batch_size``?"""
        return batch_size == self.batch_size

    @abstractmethod
    def _reset_row(self, t: int, where: Array | None) -> None:
        """Begin new episodes: write root ``[t]`` of observation (and state).

        Args:
            t: the row.
            where: ``[*batch]`` bool, the envs to reset; None: all. The rows of the others stay as they are.

        The flags of the envs to reset are false on entry. ``_reset_request`` holds what the caller passed on.
        """

    def _reset_on_request(self, t: int, where: Array | None, request: ResetRequest) -> None:
        """``_reset_row``; while it runs, this env and the envs inside it know ``request``."""
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
        """Remember ``request`` for the next reset. An env around others passes it on to them."""
        self._reset_request = request

    def _reset_parts(self, t: int, masks: Masks) -> None:
        """Begin new episodes in parts of an env: write root ``[t]``, flags included, where ``masks`` are true.

        Called only where one part has ended and another has not. Most envs cannot do this.
        """
        raise no_parts(self)

    @abstractmethod
    def _step_row(self, t: int) -> None:
        """Make the step that root ``[t]`` of action (and state) asks for: write next ``[t]``.

        The action is a member of its spec. The flags of the row are false on entry: write them only where true.
        """

    def _send_row(self, t: int, onward: bool = False) -> None:
        """Begin a step by hand, which ``_receive_row`` ends. An env that runs in this process makes all of it here.

        The step is that of ``_step_row``; with ``onward``, which needs ``_autoresets``, that of ``_autoreset_rows``.
        """
        if onward:
            self._autoreset_rows(t, t + 1, True)
        else:
            self._step_row(t)

    def _receive_row(self, t: int, onward: bool = False) -> None:
        """Wait for the step that ``_send_row`` with the same arguments began."""

    def _step_rows(self, start: int, stop: int) -> int:
        """``_step_row`` for ``start``, ``start + 1``, ... up to but not including ``stop``, or until an env is done.

        Returns the row after the last one made, at least ``start + 1``. The actions of all these rows are in place. If
        a step raises, ``filled`` of the bound buffer is the number of complete rows. A backend whose steps are cheap
        may override this with a tighter loop, which notes each row and stops where the note says ``HALT``, as here.
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
        """``_step_row`` for ``start`` to ``stop``, with a new episode in the next row wherever an env is done.

        Only called where ``_autoresets`` is true. The actions of all these rows and the root of row ``start`` are in
        place; the roots of the other rows are written here, and with ``onward`` that of row ``stop`` too.
        """
        raise NotImplementedError

    def _adopt(self, policy: Callable[..., Any] | None, device: torch.device | None) -> bool:
        """Let ``_autoreset_rows`` choose the actions from now on, if it can. False: the caller still chooses them.

        Args:
            policy: called with a TensorDict; None: there is no policy.
            device: where the policy wants its input.
        """
        return False

    def _note_in(self, note: Note) -> None:
        """Have ``_step_rows`` write into ``note`` which row it is in."""
        self._row_note = note

    def _stopped_in(self, t: int) -> None:
        """An exception was raised in row ``t``: the rows before it are complete."""
        if self._bound is not None:
            self._bound.filled = t

    _pauses = False
    """Does :meth:`_pause` keep envs of the batch where they are?"""

    def _pause(self, where: Array | None) -> None:
        """The envs in ``where``, ``[*batch]`` bool, need not be stepped until their next reset; None: all are again."""

    @abstractmethod
    def _set_seed(self, seed: int | None) -> None:
        """Seed the next reset."""

    def _close(self) -> None:
        """Release the simulator. Called once."""

    def _roles(self) -> Roles:
        """A step reads the state."""
        return Roles(reads=set(self.state_spec.leaves()))

    # -- binding --------------------------------------------------------------------------------------------------

    @property
    def _row_memory(self) -> SpareMemory:
        """Where the rows of this env come from."""
        return _SPARE

    def _buffer(self, steps: int) -> RolloutBuffer:
        """A new buffer for this env. Its flags are false; other large rows are arbitrary until they are written."""
        layout, flags = self._row_layout(), set(self.full_done_spec.leaves())
        place = self._row_memory.place(set(layout) - flags - set(map(under_next, flags)))
        return RolloutBuffer.allocate(layout, steps, self.batch_size, place)

    def _attach(self, buffer: RolloutBuffer) -> None:
        """Bind to ``buffer``, unless it is bound already."""
        if not self._is_attached(buffer):
            self.__dict__.pop("_is_done", None)  # it holds the old rows
            self._lock_specs()
            buffer.parts = self._group_parts()
            with torch.inference_mode(False), torch.no_grad():  # what is made here lasts, and is written to later
                self._bound_by(self._bind, buffer)
            self._bound = buffer

    def _let_go(self, spare: RolloutBuffer) -> None:
        """Release the memory that this env is bound to, by binding to ``spare`` instead."""
        self._attach(spare)

    def _unbind(self) -> None:
        """Forget the rows: the next ``_attach`` binds, even to the same buffer."""
        self._bound = None
        self.__dict__.pop("_is_done", None)  # it holds them too

    def _done_test(self) -> Callable[[int], bool]:
        """A test: is any env done in row ``t`` of next? For the usual single env, one look-up in a memoryview."""
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
    if len(arrays) == 1:
        return lambda t, flags=arrays[0]: any_of(flags[t])  # type: ignore[misc]  # bound here, to read it faster
    return lambda t: any(any_of(array[t]) for array in arrays)

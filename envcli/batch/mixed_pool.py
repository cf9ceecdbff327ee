"""A pool of workers in which this process takes part."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from envcli.batch.channel import QUESTIONS
from envcli.batch.fault import Fault, located
from envcli.batch.phases import PHASES
from envcli.batch.share_server import ShareServer
from envcli.batch.undisturbed import is_leaving
from envcli.batch.worker_pool import Args, WorkerPool
from envcli.errors import EnvcliError
from envcli.rows.note import PHASE, ROW, new_note

__all__ = ["MixedPool"]

Order = tuple[int, int, int, bool, bool]


class MixedPool:
    """A :class:`~envcli.batch.worker_pool.WorkerPool`, and a share of the envs that this process steps meanwhile.

    If one of these envs fails, the whole pool ends. They have no timeout: if one hangs, the program hangs.

    Args:
        pool: the workers, with the other shares.
        envs: the envs that this process steps, the first of the batch.
    """

    def __init__(self, pool: WorkerPool, envs: range) -> None:
        self._pool, self._envs = pool, envs
        self._server = ShareServer(envs.start, new_note())
        self._seeds: Sequence[int | None] = [None] * len(envs)
        self._word = ""  # the last one that was carried out here
        self._due: Order | None = None  # what the workers are doing, and this process has yet to do

    @property
    def offset(self) -> int:
        """What the number of a step is more than that of its row."""
        return self._pool.offset

    @offset.setter
    def offset(self, offset: int) -> None:
        self._pool.offset = offset

    def require_own(self) -> None:
        """See :meth:`WorkerPool.require_own`."""
        self._pool.require_own()

    @property
    def ended(self) -> bool:
        """Are there no workers any more?"""
        return self._pool.ended

    def seeded(self, seeds: Sequence[int | None], places: int) -> None:
        """See :meth:`WorkerPool.seeded`."""
        self._pool.seeded(seeds, places)
        self._seeds = seeds[self._envs.start : self._envs.stop]

    def order(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """See :meth:`WorkerPool.order`."""
        self.post(order, start, stop, onward, some)
        self.wait()

    def post(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """See :meth:`WorkerPool.post`. This process does its part in :meth:`wait`."""
        self._pool.post(order, start, stop, onward, some)
        self._due = order, start, stop, onward, some

    def wait(self) -> None:
        """See :meth:`WorkerPool.wait`."""
        due, self._due = self._due, None
        if due is not None:
            try:
                self._server.do(*due)
            except Exception as error:
                failure = self._failure(error)
                self.give_up()
                raise failure from error
        self._pool.wait()

    def ask(self, name: str, args: Args) -> list[Any]:
        """See :meth:`WorkerPool.ask`."""
        self._pool.tell(name, args)
        refusal: EnvcliError | AttributeError | None = None
        answer = None
        try:
            answer = self._say(name, args(self._envs))
        except Exception as error:
            refusal = self._failure(error)
            if name not in QUESTIONS:
                self.give_up()
                raise refusal from error
        try:
            answers = self._pool.hear(name)
        except (EnvcliError, AttributeError):
            if refusal is None or self.ended:
                raise
        if refusal is not None:  # of several, the first env's is raised, as in any batch
            raise refusal
        return [answer, *answers]

    def _say(self, name: str, args: tuple[Any, ...]) -> Any:
        self._word = name
        self._server.note[PHASE] = PHASES.index(name if name in PHASES else "call")
        return self._server.say(name, args)

    def _failure(self, error: Exception) -> EnvcliError | AttributeError:
        """``error`` with a message that names the env; its cause is the original, with the traceback."""
        index, phase, row = self._server.note[: ROW + 1]
        doing = self._word if PHASES[phase] == "call" else PHASES[phase]
        where = located(self._envs[index], "this process", self._seeds[index], doing, row + self.offset)
        failure = Fault.of(error)._replace(traceback="").error(where, looked_up=doing == "get")
        failure.__cause__ = error
        return failure

    def interrupt(self) -> None:
        """See :meth:`WorkerPool.interrupt`."""
        self._due = None
        self._pool.interrupt()

    def close(self) -> None:
        """See :meth:`WorkerPool.close`. The envs here are closed first, the others even if that fails."""
        if not self._pool.is_own:
            return
        if self.ended:  # another error is on its way
            self.give_up()
            return
        hasty = is_leaving()
        failure: EnvcliError | AttributeError | None = None
        try:
            self._say("close", ())
        except Exception as error:
            failure = self._failure(error)
        try:
            self._pool.close()
        except EnvcliError:
            if failure is None:
                raise
        if failure is not None and not hasty:
            raise failure

    def abandon(self) -> None:
        """See :meth:`WorkerPool.abandon`."""
        with contextlib.suppress(Exception):
            self.close()

    def give_up(self) -> None:
        """See :meth:`WorkerPool.give_up`."""
        self._pool.give_up()
        with contextlib.suppress(Exception):
            self._say("close", ())

"""Workers that are replaced when they are lost."""

from __future__ import annotations

import contextlib
import logging
import select
import signal
from collections.abc import Sequence
from typing import Any

from envcli.batch.channel import FAILED, IDLE, PAUSE, RESET, STATE, in_words
from envcli.batch.replay_log import ReplayLog, advanced
from envcli.batch.timeouts import Timeouts
from envcli.batch.undisturbed import undisturbed
from envcli.batch.worker_handle import WorkerHandle
from envcli.batch.worker_pool import Args, Lost, WorkerPool
from envcli.errors import EnvcliError
from envcli.rows.note import HALT, MADE

__all__ = ["RestartingPool"]

log = logging.getLogger(__name__)


class RestartingPool(WorkerPool):
    """A :class:`~envcli.batch.worker_pool.WorkerPool` that replaces a worker that dies, or is killed as it hangs.

    Unless its envs have made no row since the last time, or are being built: then it ends like any other pool. One that
    is lost when all are closed is only reported: what its envs made is whole.

    Args:
        shares, method, timeouts: see there.
        restarts: what happened to those that were replaced is added here.
    """

    def __init__(self, shares: Sequence[range], method: str, timeouts: Timeouts, restarts: list[str]) -> None:
        self.restarts = restarts
        self.replay_log = ReplayLog()
        self._word: tuple[str, Args] = ("", lambda _: ())  # that is being asked
        self._pausing = False
        super().__init__(shares, method, timeouts)

    def post(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """Have all workers do the same, and do not wait."""
        super().post(order, start, stop, onward, some)
        if order == PAUSE or (order == RESET and not some):
            self._pausing = order == PAUSE and some

    def _note_word(self, name: str, args: Args) -> None:
        self._word = name, args
        self.replay_log.keep(name, args)

    def _hangs(self, worker: WorkerHandle) -> None:
        assert worker.process is not None
        worker.process.send(signal.SIGKILL)  # and is to be found dead

    def _raise_first(self, failures: Sequence[EnvcliError | Lost]) -> None:
        for lost in (failure for failure in failures if isinstance(failure, Lost)):
            log.warning("%s", lost.error)
        super()._raise_first([failure for failure in failures if not isinstance(failure, Lost)])

    def _replace(self, found: Lost) -> None:
        """Put a new worker in the place of a dead or hung one, and have it do what that did not finish.

        Raises what happened to the old one, where it is not to be replaced; and whatever goes wrong with the new one.
        """
        lost, numbers = found.worker, found.worker.numbers
        is_asked = self._asking and lost in self._working
        word = self._word[0] if is_asked else ""
        if numbers[STATE] == FAILED or word == "build":
            raise found.error
        if lost.instead_of and not numbers[MADE]:
            found.error.add_note(f"It had been restarted, after: {lost.instead_of}")
            raise found.error
        unfinished = lost.unfinished()
        self.restarts.append(str(found.error))
        asking, self._asking = self._asking, True  # an interrupt must not take it for a worker like the others
        new = self._successor(lost, word, str(found.error))
        for name, args in self.replay_log.words(new.envs, new.restarts * self.places, but=word):
            self._tell_alone(new, name, args)
        self._tell_alone(new, "lose", ())
        if self._pausing:
            new.ordered(PAUSE, 0, 0, 0, 1, together=0)
            self._hear_alone(new, self.timeouts.step)
        self._asking = asking
        if is_asked:
            self._say(new, *self._word)
        elif unfinished is not None:
            new.ordered(*unfinished)
        if is_asked or unfinished is not None:
            self._working.add(new)

    def _successor(self, lost: WorkerHandle, word: str, why: str) -> WorkerHandle:
        with undisturbed():
            self._working.discard(lost)
            for fd in [fd for fd, (worker, _) in self._by_fd.items() if worker is lost]:
                self._poll.unregister(fd)
                del self._by_fd[fd]
            lost.end()
            lost.numbers[STATE], lost.numbers[HALT], lost.numbers[MADE] = IDLE, 0, 0
            new = WorkerHandle(lost.index, lost.envs, self._table, self.timeouts, self.first)
            self._workers[lost.index] = new
        new.instead_of, new.restarts = why, lost.restarts + (word != "set_seeds")
        new.seeds = lost.seeds if word == "set_seeds" else advanced(lost.seeds, self.places)
        new.start(self.method, self._setting)
        self._watch(new)
        return new

    def _tell_alone(self, worker: WorkerHandle, name: str, args: tuple[Any, ...]) -> None:
        """Have one worker alone hear a word."""
        self._say(worker, name, lambda _: args)
        self._hear_alone(worker, self.timeouts.of(name), {})

    def _say(self, worker: WorkerHandle, name: str, args: Args) -> None:
        worker.told(name)
        with contextlib.suppress(OSError):  # it is gone, or will be found to hang
            worker.channel.send(in_words((name, args(worker.envs))))

    def _hear_alone(self, worker: WorkerHandle, patience: float, answers: dict[int, Any] | None = None) -> None:
        poll, seen = select.poll(), dict[WorkerHandle, tuple[Any, float]]()
        for fd, (other, _) in self._by_fd.items():
            if other is worker:
                poll.register(fd, select.POLLIN)
        self._working.add(worker)
        while worker in self._working:
            found = self._hear_some(poll, [worker], patience, answers, seen)
            if found is not None:
                raise found.error

"""The workers of a batch as the main process sees them: orders, answers, and workers that are lost."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch

from envcli.batch.awake import soon
from envcli.batch.channel import (
    FAILED,
    IDLE,
    NOTE,
    NUMBERS,
    STATE,
    WORKING,
    in_words,
)
from envcli.batch.process import end_fork_server
from envcli.batch.this_process import this_process
from envcli.batch.timeouts import Timeouts
from envcli.batch.undisturbed import is_leaving, undisturbed
from envcli.batch.worker_handle import WorkerHandle
from envcli.errors import EnvcliError, EnvError
from envcli.memory.shared_memory import SharedMemory
from envcli.rows.note import HALT

__all__ = ["Args", "Lost", "WorkerPool"]

Args: TypeAlias = Callable[[range], tuple[Any, ...]]
"""The arguments of a word for one worker, from the indices of its envs."""

_SLICE = 0.2  # seconds between two looks at which workers are busy
_HALT_IN = 0.5  # seconds for a worker to stop after a Ctrl-C
_CLOSE_IN = 1.0  # seconds for it to close its envs then
_PART_IN = 0.7  # seconds for the other workers to do both after one has failed: the error is raised within a second
_LEAVE_IN = 0.5  # seconds for a worker to end once its envs are closed


class WorkerPool:
    """Workers, each with a share of the envs.

    If anything goes wrong in one of them, all are ended, and one error is raised that says which env it was. Workers
    that still can close their envs.

    Args:
        shares: the envs of each worker.
        method: how they are started; see :func:`~envcli.batch.process.start_process`.
        timeouts: how long to wait for them.
        first: what errors call the first of them, and the first env.
    """

    def __init__(self, shares: Sequence[range], method: str, timeouts: Timeouts, first: int = 0) -> None:
        self.method, self.timeouts, self.first = method, timeouts, first
        self.owner = this_process()
        self.places = 1
        self.offset = 0  # what the number of a step is more than that of its row, for errors
        self._workers: list[WorkerHandle] = []
        self._poll = select.poll()
        self._by_fd: dict[int, tuple[WorkerHandle, bool]] = {}  # -> a worker, and whether the fd tells of its end
        self._working: set[WorkerHandle] = set()
        self._takes_long = False  # is a whole stretch of rows being made? To look up often would only be in the way
        self._asking = False  # have words been sent whose answers are not read yet?
        self._setting = {
            "path": [p or os.getcwd() for p in sys.path],
            "folder": os.getcwd(),
            "environ": dict(os.environ),
            "dtype": torch.get_default_dtype(),
        }
        try:
            self._memory = SharedMemory()
            self._table = self._memory(("numbers",), (len(shares), NUMBERS), torch.int64)
            for index, envs in enumerate(shares):
                with undisturbed():
                    self._workers.append(WorkerHandle(index, envs, self._table, timeouts, first))
                self._workers[index].start(method, self._setting)
                self._watch(self._workers[index])
        except BaseException as error:
            self.end()
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise EnvError(
                    f"too few file descriptors for {len(shares)} workers. Raise the limit (ulimit -n), or use fewer: "
                    "num_workers"
                ) from error
            raise

    def _watch(self, worker: WorkerHandle) -> None:
        assert worker.process is not None
        for fd, ended in ((worker.channel.answer.listen_fd, False), (worker.process.fd, True)):
            if fd is not None:
                self._by_fd[fd] = worker, ended
                self._poll.register(fd, select.POLLIN)
        if worker.process.fd is None:  # then the end of its words is the end of it
            self._by_fd[worker.channel.words.fileno()] = worker, True
            self._poll.register(worker.channel.words.fileno(), select.POLLHUP)

    def seeded(self, seeds: Sequence[int | None], places: int) -> None:
        """Remember what each env was seeded with: errors name it. ``places``: of the chain that the batch takes."""
        self.places = places
        for worker in self._workers:
            worker.seeds = seeds[worker.envs.start : worker.envs.stop]
            worker.restarts = 0

    # -- orders ---------------------------------------------------------------------------------------------------

    def order(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """Give all workers the same order, and wait. Raises the error of one that fails."""
        self.post(order, start, stop, onward, some)
        self.wait()

    def post(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """Give all workers the same order, and do not wait."""
        for worker in self._workers:
            worker.ordered(order, start, stop, onward, some, together=1)
        self._working.update(self._workers)
        self._takes_long = stop > start + 1

    def ask(self, name: str, args: Args) -> list[Any]:
        """The answers of all workers to the word ``name``, with ``args`` of their shares of the envs.

        Raises the error of one that fails; if that was only a question, the workers go on nevertheless.
        """
        self.tell(name, args)
        return self.hear(name)

    def tell(self, name: str, args: Args) -> None:
        """:meth:`ask` without waiting for the answers."""
        texts = [in_words((name, args(worker.envs))) for worker in self._workers]
        self._asking = True
        self._note_word(name, args)
        for worker, text in zip(self._workers, texts, strict=True):
            worker.told(name)
            self._working.add(worker)
            try:
                worker.channel.send(text)
            except BlockingIOError:
                self._hangs(worker)
            except OSError:  # it is gone: wait() finds out how
                continue

    def hear(self, name: str) -> list[Any]:
        """Wait for the answers to what the workers were told."""
        answers: dict[int, Any] = {}
        self.wait(self.timeouts.of(name), answers)
        self._asking = False
        found = [answers[worker.index] for worker in self._workers]
        for answer in found:
            if isinstance(answer, _Refusal):
                raise answer.error
        return found

    def _note_word(self, name: str, args: Args) -> None:
        """Called before the word ``name`` is sent."""

    def _hangs(self, worker: WorkerHandle) -> None:
        """Give up on ``worker``, which does not even read what it is sent."""
        error = worker.hung(self.offset)
        worker.kill()
        self.give_up()
        raise error

    def _replace(self, found: Lost) -> None:
        """Replace a worker that is lost, or raise its error."""
        raise found.error

    def wait(self, patience: float | None = None, answers: dict[int, Any] | None = None) -> None:
        """Wait until all workers have answered; their answers to a word go into ``answers``."""
        try:
            self._hear_all(self.timeouts.step if patience is None else patience, answers)
        except EnvcliError:
            self.give_up()
            raise

    def _hear_all(self, patience: float, answers: dict[int, Any] | None) -> None:
        seen: dict[WorkerHandle, tuple[Any, float]] = {}
        while self._working:
            found = self._hear_some(self._poll, self._working, patience, answers, seen)
            if found is not None:
                self._replace(found)
                seen.clear()  # of the others, who have answered meanwhile was not heard

    def _hear_some(
        self,
        poll: select.poll,
        working: Iterable[WorkerHandle],
        patience: float,
        answers: dict[int, Any] | None,
        seen: dict[WorkerHandle, tuple[Any, float]],
    ) -> Lost | None:
        """Take the answers that are there now. Returns a worker that will never answer."""
        is_brief = answers is None and not self._takes_long
        at_rest = is_brief and soon(lambda: all(worker.numbers[STATE] != WORKING for worker in working))
        ready = [] if at_rest else poll.poll(_SLICE * 1000)
        try:
            for fd, _ in ready:
                worker, ended = self._by_fd[fd]
                if ended:
                    raise Lost(worker, worker.death(self.offset))
                worker.channel.answer.wait()
            for worker in list(working):  # the last one to finish rang for all
                self._hear(worker, answers)
            if not ready and patience:
                self._look_for_progress(patience, seen, self._working.intersection(working))
        except Lost as lost:
            lost.worker.kill()
            return lost
        return None

    def _hear(self, worker: WorkerHandle, answers: dict[int, Any] | None) -> None:
        state = worker.numbers[STATE]
        if state == WORKING:
            return
        self._working.discard(worker)
        if state == FAILED or answers is not None:
            try:
                fine, answer = worker.channel.receive()
            except BlockingIOError:
                raise Lost(worker, worker.hung(self.offset)) from None
            except (EOFError, OSError):
                raise Lost(worker, worker.death(self.offset)) from None
            if not fine:
                failure = worker.failure(answer, self.offset)
                if state == FAILED:
                    raise failure
                answer = _Refusal(failure)
            if answers is not None:
                answers[worker.index] = answer

    def _look_for_progress(
        self, patience: float, seen: dict[WorkerHandle, tuple[Any, float]], working: Iterable[WorkerHandle]
    ) -> None:
        now = time.monotonic()
        for worker in working:
            state = bytes(worker.numbers[NOTE])
            if seen.get(worker, (None, 0.0))[0] != state:
                seen[worker] = state, now
            elif now - seen[worker][1] > patience - _SLICE:
                raise Lost(worker, worker.hung(self.offset))

    # -- the end --------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """After a Ctrl-C: stop the workers, so that they are ready for other orders; end them if they do not stop."""
        try:
            if self._asking or not self._come_to_rest(_HALT_IN):
                self.end()
        except BaseException:  # a second one
            self.end()
            raise

    def _come_to_rest(self, patience: float) -> bool:
        """Have busy workers stop. False: one of them does not, or has failed."""
        for worker in self._workers:
            worker.numbers[HALT] = 1
        until = time.monotonic() + patience
        while time.monotonic() < until and any(
            worker.numbers[STATE] == WORKING and not worker.is_dead() for worker in self._workers
        ):
            time.sleep(0.005)
        for worker in self._workers:
            worker.numbers[HALT] = 0
        self._working.clear()
        return all(worker.numbers[STATE] == IDLE for worker in self._workers)

    @property
    def is_own(self) -> bool:
        """Are the workers this process's, and not those of one that it was forked from?"""
        return this_process() == self.owner

    def require_own(self) -> None:
        """Raise EnvError in a forked child: two processes with the same workers would get each other's answers."""
        if not self.is_own:
            raise EnvError(
                f"this batch was started by process {self.owner}, and this one ({this_process()}) is a fork of it. "
                "Call close() here to start new workers, which leaves the others alone; or start it after the fork"
            )

    @property
    def ended(self) -> bool:
        """Are there no workers any more?"""
        return not self._workers

    def close(self) -> None:
        """Close all envs and end the workers. Raises the error of an env that fails, after the workers have ended.

        While a Ctrl-C is ending the program, it takes little time and raises nothing.
        """
        if not self.is_own or self.ended:
            return
        if self._asking:  # interrupted in the middle of a word: nothing more can be sent
            self.end()
            return
        hasty = is_leaving()
        failures: list[EnvcliError | Lost] = []
        try:
            self._close_all(_CLOSE_IN if hasty else self.timeouts.close, failures)
        finally:
            self.end(fault=bool(failures))
        if not hasty:
            self._raise_first(failures)

    def _raise_first(self, failures: Sequence[EnvcliError | Lost]) -> None:
        """Raise what went wrong first when all were closed, if anything did."""
        for failure in failures:
            raise failure.error if isinstance(failure, Lost) else failure

    def abandon(self) -> None:
        """``close`` without errors, for a batch that was never closed: it was garbage, or the program ends."""
        with contextlib.suppress(Exception):
            self.close()

    def _close_all(self, patience: float, failures: list[EnvcliError | Lost]) -> None:
        until = time.monotonic() + (patience or float("inf"))
        if not self._come_to_rest(patience or float("inf")):
            for worker in self._workers:
                with _into(failures):
                    if worker.numbers[STATE] == WORKING:
                        raise Lost(worker, worker.death(self.offset) if worker.is_dead() else worker.hung(self.offset))
                    self._hear(worker, None)
            return
        for worker in self._workers:
            worker.told("close")
            with contextlib.suppress(OSError):  # it is gone, as is found out below
                worker.channel.send(in_words(("close", ())))
        self._working.update(self._workers)
        while self._working and (left := until - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(min(left, _SLICE) * 1000):
                worker, ended = self._by_fd[fd]
                if ended:
                    self._poll.unregister(fd)
                else:
                    worker.channel.answer.wait()
                if worker not in self._working:  # an earlier ring had us read its answer before it rang for that
                    continue
                with _into(failures):
                    self._hear(worker, {})  # if it has ended, too: it may have answered before
                    if ended and worker in self._working:
                        self._working.discard(worker)
                        raise Lost(worker, worker.death(self.offset))
        failures += [Lost(worker, worker.hung(self.offset)) for worker in list(self._working)[:1]]

    def give_up(self) -> None:
        """After a fault: have the other workers close their envs quickly, and end all of them."""
        try:
            if self.is_own:
                self._close_those_well(time.monotonic() + _PART_IN)
        finally:
            self.end()

    def _close_those_well(self, until: float) -> None:
        left, told = set(self._workers), set[WorkerHandle]()
        for worker in left:
            worker.numbers[HALT] = 1
        while (left := {worker for worker in left if not worker.is_dead()}) and time.monotonic() < until:
            for worker in left:
                worker.channel.drain()  # it may be in the middle of an answer, which is no longer wanted
                if worker not in told and worker.numbers[STATE] != WORKING:
                    told.add(worker)
                    worker.told("close")
                    with contextlib.suppress(OSError):  # it is gone
                        worker.channel.send(in_words(("close", ())))
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill the workers. May be called from another thread than that which waits for them, and raises its error."""
        for worker in self._workers:
            worker.kill()

    def end(self, fault: bool = True) -> None:
        """End all workers: those that have closed their envs end by themselves, others are killed.

        After a ``fault`` the fork server is ended too, so that the next batch begins with a new one.
        """
        if not self.is_own:  # a forked child's copy: the workers are not its own
            return
        with undisturbed():
            workers, self._workers = self._workers, []
            until = time.monotonic() + (0 if fault else _LEAVE_IN)
            for worker in workers:
                worker.leave(max(until - time.monotonic(), 0))
            for worker in workers:
                worker.kill()
            for worker in workers:
                worker.end()
            self._working.clear()
            self._by_fd.clear()
            self._poll = select.poll()
            if fault and workers:
                end_fork_server()


class Lost(Exception):
    """A worker will never answer; ``error`` tells the user why."""

    def __init__(self, worker: WorkerHandle, error: EnvError) -> None:
        super().__init__(error)
        self.worker, self.error = worker, error


class _Refusal(NamedTuple):
    """The answer of a worker whose envs fail at a question; the worker goes on."""

    error: Exception


@contextlib.contextmanager
def _into(failures: list[EnvcliError | Lost]) -> Iterator[None]:
    try:
        yield
    except (EnvcliError, Lost) as error:
        failures.append(error)

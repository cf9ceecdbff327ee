"""The workers of a batch as the main process sees them: who is told what, who has answered, who never will."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch

from envcli.batch.awake import soon
from envcli.batch.line import (
    FAILED,
    HALT,
    IDLE,
    NOTE,
    NUMBERS,
    STATE,
    WORKING,
    in_words,
)
from envcli.batch.patience import Patience
from envcli.batch.process import end_nursery
from envcli.batch.remote import Remote
from envcli.batch.undisturbed import undisturbed
from envcli.errors import EnvcliError, EnvError
from envcli.memory.shared_memory import SharedMemory

__all__ = ["Args", "Crew", "Lost"]

Args: TypeAlias = Callable[[range], tuple[Any, ...]]
"""What a worker is asked with, by its share of the envs."""

_SLICE = 0.2  # seconds between two looks at who still works
_HALT_IN = 0.5  # seconds that a worker has to come to a halt after a Ctrl-C
_CLOSE_IN = 1.0  # seconds that it has to close its envs then


class Crew:
    """Workers, each with a share of the envs.

    Whatever goes wrong with one of them ends all of them, and is raised as one error that says which env it was.

    Args:
        shares: the envs of each worker.
        method: how they are started; see :func:`~envcli.batch.process.start_process`.
        patience: how long to wait for them.
    """

    def __init__(self, shares: Sequence[range], method: str, patience: Patience) -> None:
        self.method, self.patience = method, patience
        self.owner = os.getpid()
        self.places = 1
        self.offset = 0  # what the number of a step is more than that of its row, for errors
        self._remotes: list[Remote] = []
        self._poll = select.poll()
        self._by_fd: dict[int, tuple[Remote, bool]] = {}  # -> the worker, and whether this fd says that it ended
        self._working: set[Remote] = set()
        self._asking = False  # are there words on their way that nobody has read?
        self._setting = {
            "path": [p or os.getcwd() for p in sys.path],
            "folder": os.getcwd(),
            "environ": dict(os.environ),
        }
        try:
            self._memory = SharedMemory()
            self._table = self._memory(("numbers",), (len(shares), NUMBERS), torch.int64)
            for index, envs in enumerate(shares):
                with undisturbed():
                    self._remotes.append(Remote(index, envs, self._table, patience))
                self._remotes[index].start(method, self._setting)
                self._watch(self._remotes[index])
        except BaseException as error:
            self.end()
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise EnvError(
                    f"too few file descriptors for {len(shares)} workers. Raise the limit (ulimit -n), or take fewer: "
                    "num_workers"
                ) from error
            raise

    def _watch(self, remote: Remote) -> None:
        assert remote.process is not None
        for fd, ended in ((remote.line.answer.listen_fd, False), (remote.process.fd, True)):
            if fd is not None:
                self._by_fd[fd] = remote, ended
                self._poll.register(fd, select.POLLIN)
        if remote.process.fd is None:  # then the end of its words is the end of it
            self._by_fd[remote.line.words.fileno()] = remote, True
            self._poll.register(remote.line.words.fileno(), select.POLLHUP)

    def seeded(self, seeds: Sequence[int | None], places: int) -> None:
        """Remember what each env was seeded with: errors name it. ``places``: of the chain that the batch takes."""
        self.places = places
        for remote in self._remotes:
            remote.seeds = seeds[remote.envs.start : remote.envs.stop]
            remote.restarts = 0

    # -- orders ---------------------------------------------------------------------------------------------------

    def order(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """Have all workers do the same, and wait for them. Raises what one of them failed with."""
        self.post(order, start, stop, onward, some)
        self.wait()

    def post(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """Have all workers do the same, and do not wait."""
        for remote in self._remotes:
            remote.ordered(order, start, stop, onward, some, together=1)
        self._working.update(self._remotes)

    def ask(self, name: str, args: Args | None = None) -> list[Any]:
        """What each worker answers to ``name`` with ``args`` of its share of the envs.

        Raises what one of them failed with; where it was but a question, the workers go on all the same.
        """
        self.tell(name, args)
        return self.hear(name)

    def tell(self, name: str, args: Args | None = None) -> None:
        """:meth:`ask`, and do not wait."""
        texts = [in_words((name, () if args is None else args(remote.envs))) for remote in self._remotes]
        self._asking = True
        self._note_word(name, args)
        for remote, text in zip(self._remotes, texts, strict=True):
            remote.told(name)
            self._working.add(remote)
            try:
                remote.line.send(text)
            except BlockingIOError:
                self._hangs(remote)
            except OSError:  # it is gone: wait() finds out how
                continue

    def hear(self, name: str) -> list[Any]:
        """The answers to what they were told."""
        answers: dict[int, Any] = {}
        self.wait(self.patience.of(name), answers)
        self._asking = False
        found = [answers[remote.index] for remote in self._remotes]
        for answer in found:
            if isinstance(answer, _Refusal):
                raise answer.error
        return found

    def _note_word(self, name: str, args: Args | None) -> None:
        """``name`` is about to be said."""

    def _hangs(self, remote: Remote) -> None:
        """It does not even take what it is told."""
        error = remote.hung(self.offset)
        self.end()
        raise error

    def _replace(self, found: Lost) -> None:
        """A worker is lost: put another one in its place, or raise."""
        raise found.error

    def wait(self, patience: float | None = None, answers: dict[int, Any] | None = None) -> None:
        """Until all have answered; with ``answers``, in words."""
        try:
            self._hear_all(self.patience.step if patience is None else patience, answers)
        except EnvcliError:
            self.end()
            raise

    def _hear_all(self, patience: float, answers: dict[int, Any] | None) -> None:
        seen: dict[Remote, tuple[Any, float]] = {}
        while self._working:
            found = self._hear_some(self._poll, self._working, patience, answers, seen)
            if found is not None:
                self._replace(found)
                seen.clear()  # of the others, who have answered meanwhile was not heard

    def _hear_some(
        self,
        poll: select.poll,
        working: Iterable[Remote],
        patience: float,
        answers: dict[int, Any] | None,
        seen: dict[Remote, tuple[Any, float]],
    ) -> Lost | None:
        """Hear who answers now. Returns who never will."""
        at_rest = answers is None and soon(lambda: all(remote.numbers[STATE] != WORKING for remote in working))
        ready = [] if at_rest else poll.poll(_SLICE * 1000)
        try:
            for fd, _ in ready:
                remote, ended = self._by_fd[fd]
                if ended:
                    raise Lost(remote, remote.death(self.offset))
                remote.line.answer.wait()
            for remote in list(working):  # whoever was the last rang for all
                self._hear(remote, answers)
            if not ready and patience:
                self._look_for_progress(patience, seen, self._working.intersection(working))
        except Lost as lost:
            return lost
        return None

    def _hear(self, remote: Remote, answers: dict[int, Any] | None) -> None:
        state = remote.numbers[STATE]
        if state == WORKING:
            return
        self._working.discard(remote)
        if state == FAILED or answers is not None:
            try:
                fine, answer = remote.line.receive()
            except BlockingIOError:
                raise Lost(remote, remote.hung(self.offset)) from None
            except (EOFError, OSError):
                raise Lost(remote, remote.death(self.offset)) from None
            if not fine:
                failure = remote.failure(answer, self.offset)
                if state == FAILED:
                    raise failure
                answer = _Refusal(failure)
            if answers is not None:
                answers[remote.index] = answer

    def _look_for_progress(
        self, patience: float, seen: dict[Remote, tuple[Any, float]], working: Iterable[Remote]
    ) -> None:
        now = time.monotonic()
        for remote in working:
            state = bytes(remote.numbers[NOTE])
            if seen.get(remote, (None, 0.0))[0] != state:
                seen[remote] = state, now
            elif now - seen[remote][1] > patience - _SLICE:
                raise Lost(remote, remote.hung(self.offset))

    # -- the end --------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """After a Ctrl-C: be ready for other orders, where all workers come to rest soon, or be ended."""
        try:
            if self._asking or not self._come_to_rest(_HALT_IN):
                self.end()
        except BaseException:  # a second one
            self.end()
            raise

    def _come_to_rest(self, patience: float) -> bool:
        """Have who still works leave off. False: one of them does not, or has failed."""
        for remote in self._remotes:
            remote.numbers[HALT] = 1
        until = time.monotonic() + patience
        while time.monotonic() < until and any(
            remote.numbers[STATE] == WORKING and not remote.is_dead() for remote in self._remotes
        ):
            time.sleep(0.005)
        for remote in self._remotes:
            remote.numbers[HALT] = 0
        self._working.clear()
        return all(remote.numbers[STATE] == IDLE for remote in self._remotes)

    @property
    def ended(self) -> bool:
        """Are there no workers any more?"""
        return not self._remotes

    def close(self) -> None:
        """Have all envs closed, and end the workers. Raises what an env failed with; the workers are gone then too.

        While a Ctrl-C is on its way through the program, it is quick and quiet.
        """
        if os.getpid() != self.owner or self.ended:
            return
        if self._asking:  # it was interrupted in the middle of a word, and nothing can be said any more
            self.end()
            return
        hasty = isinstance(sys.exc_info()[1], (KeyboardInterrupt, SystemExit))
        failures: list[EnvcliError] = []
        try:
            self._close_all(_CLOSE_IN if hasty else self.patience.close, failures)
        finally:
            self.end(fault=bool(failures))
        if failures and not hasty:
            raise failures[0]

    def abandon(self) -> None:
        """``close`` for when there is nobody to be told: what nobody closed was forgotten, or the program ends."""
        with contextlib.suppress(Exception):
            self.close()

    def _close_all(self, patience: float, failures: list[EnvcliError]) -> None:
        until = time.monotonic() + (patience or float("inf"))
        if not self._come_to_rest(patience or float("inf")):
            for remote in self._remotes:
                with _into(failures):
                    if remote.numbers[STATE] == WORKING:
                        raise remote.death(self.offset) if remote.is_dead() else remote.hung(self.offset)
                    self._hear(remote, None)
            return
        for remote in self._remotes:
            remote.told("close")
            with contextlib.suppress(OSError):  # it is gone, as is found out below
                remote.line.send(in_words(("close", ())))
        self._working.update(self._remotes)
        while self._working and (left := until - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(min(left, _SLICE) * 1000):
                remote, ended = self._by_fd[fd]
                if ended:
                    self._poll.unregister(fd)
                with _into(failures):
                    if not ended:
                        remote.line.answer.wait()
                        self._hear(remote, {})
                    elif remote in self._working:
                        self._working.discard(remote)
                        raise remote.death(self.offset)
        failures += [remote.hung(self.offset) for remote in list(self._working)[:1]]

    def end(self, fault: bool = True) -> None:
        """Kill whatever is left, and with a ``fault`` leave nothing behind for a next batch either."""
        if os.getpid() != self.owner:  # a forked child's copy: the workers are not its own
            return
        with undisturbed():
            remotes, self._remotes = self._remotes, []
            for remote in remotes:
                if remote.process is not None:
                    remote.process.send(signal.SIGKILL)
            for remote in remotes:
                remote.end()
            self._working.clear()
            self._by_fd.clear()
            self._poll = select.poll()
            if fault and remotes:
                end_nursery()


class Lost(Exception):
    """A worker will never answer: why, as an error for the user."""

    def __init__(self, remote: Remote, error: EnvError) -> None:
        super().__init__(error)
        self.remote, self.error = remote, error


class _Refusal(NamedTuple):
    """What a worker answers to a question that its envs fail at; it is as well as before."""

    error: Exception


@contextlib.contextmanager
def _into(failures: list[EnvcliError]) -> Iterator[None]:
    try:
        yield
    except EnvcliError as error:
        failures.append(error)
    except Lost as lost:
        failures.append(lost.error)

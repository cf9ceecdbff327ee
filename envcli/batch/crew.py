"""The workers of a batch as the main process sees them: who is told what, who has answered, who never will."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from socket import socketpair
from typing import Any

import torch

from envcli import errors
from envcli.batch.bell import Bell
from envcli.batch.line import (
    FAILED,
    HALT,
    NOTE,
    NUMBERS,
    ONWARD,
    ORDER,
    SOME,
    START,
    STATE,
    STOP,
    WORDS,
    WORKING,
    Line,
)
from envcli.batch.process import Process, start_process
from envcli.batch.share import PHASES
from envcli.errors import EnvcliError, EnvError
from envcli.shared_memory import SharedMemory, mapped

__all__ = ["Crew", "Patience"]

_SLICE = 0.2  # seconds between two looks at who still works
_HALT_IN = 0.5  # seconds that a worker has to come to a halt after a Ctrl-C, or when another one has failed
_STACK_IN = 0.3  # seconds that a hung worker has to write its stack
_STACK = 2**16  # bytes of it that are read


class Patience:
    """How long the main process waits for a worker that shows no progress, in seconds; 0: for ever.

    Args:
        start: for an env to be built.
        step: for a reset, a step, or an answer to a word.
        close: for an env to close; then its process is killed.
    """

    def __init__(self, start: float = 60, step: float = 60, close: float = 5) -> None:
        self.start, self.step, self.close = start, step, close


class _Remote:
    """One worker: its process, its line, its share of the envs."""

    def __init__(self, index: int, envs: range, numbers: torch.Tensor, setting: dict[str, Any], method: str) -> None:
        self.index, self.envs = index, envs
        self.seeds: Sequence[int | None] = [None] * len(envs)
        ours, theirs = socketpair()
        call, answer = Bell(), Bell()
        self.line = Line(numbers, call, answer, Connection(ours.detach()))
        self.numbers = self.line.numbers
        self.stack = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # it is the worker's as long as that lives
        fds = {"words": theirs.fileno(), "call": call.listen_fd, "answer": answer.ring_fd}
        fds |= {"stack": self.stack.fileno(), "stdout": 1, "stderr": 2}
        with theirs:
            self.process: Process = start_process(method, fds)
        self.line.send({**setting, "numbers": mapped(numbers), "first": envs.start})

    def where(self) -> str:
        """Which env does what at the moment: ``"env 5 (worker 1, seed 13) in step, row 17"``."""
        place, phase, row = self.numbers[NOTE].tolist()
        seed = self.seeds[place]
        found = f"env {self.envs[place]} (worker {self.index}{'' if seed is None else f', seed {seed}'})"
        return f"{found} in {PHASES[phase]}{f', row {row}' if PHASES[phase] in ('reset', 'step') else ''}"

    def read_stack(self) -> str:
        """What its faulthandler has written."""
        return os.pread(self.stack.fileno(), _STACK, 0).decode(errors="replace").strip()

    def end(self) -> None:
        self.process.end()
        self.line.close()
        self.stack.close()


class Crew:
    """Workers, each with a share of the envs.

    Whatever goes wrong with one of them ends all of them, and is raised as one error that says which env it was.

    Args:
        shares: the envs of each worker.
        method: how they are started; see :func:`~envcli.batch.process.start_process`.
        patience: how long to wait for them.
    """

    def __init__(self, shares: Sequence[range], method: str, patience: Patience) -> None:
        self.patience = patience
        self.owner = os.getpid()
        self._memory = SharedMemory()
        self._remotes: list[_Remote] = []
        self._poll = select.poll()
        self._by_fd: dict[int, tuple[_Remote, bool]] = {}  # -> the worker, and whether this fd says that it ended
        self._working: set[_Remote] = set()
        numbers = self._memory(("numbers",), (len(shares), NUMBERS), torch.int64)
        setting = {"path": [p or os.getcwd() for p in sys.path], "folder": os.getcwd(), "environ": dict(os.environ)}
        try:
            for index, envs in enumerate(shares):
                self._hire(_Remote(index, envs, numbers[index], setting, method))
        except BaseException as error:
            self.end()
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise EnvError(
                    f"too few file descriptors for {len(shares)} workers. Raise the limit (ulimit -n), or take fewer: "
                    "num_workers"
                ) from error
            raise

    def _hire(self, remote: _Remote) -> None:
        self._remotes.append(remote)
        for fd, ended in ((remote.line.answer.listen_fd, False), (remote.process.fd, True)):
            if fd is not None:
                self._by_fd[fd] = remote, ended
                self._poll.register(fd, select.POLLIN)
        if remote.process.fd is None:  # then the end of its words is the end of it
            self._by_fd[remote.line.words.fileno()] = remote, True
            self._poll.register(remote.line.words.fileno(), select.POLLHUP)

    def seeded(self, seeds: Sequence[int | None]) -> None:
        """Remember what each env was seeded with: errors name it."""
        for remote in self._remotes:
            remote.seeds = seeds[remote.envs.start : remote.envs.stop]

    # -- orders ---------------------------------------------------------------------------------------------------

    def order(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """Have all workers do the same, and wait for them. Raises what one of them failed with."""
        self.post(order, start, stop, onward, some)
        self.wait()

    def post(self, order: int, start: int = 0, stop: int = 0, onward: bool = False, some: bool = False) -> None:
        """Have all workers do the same, and do not wait."""
        for remote in self._remotes:
            numbers = remote.numbers
            numbers[ORDER], numbers[START], numbers[STOP] = order, start, stop
            numbers[ONWARD], numbers[SOME], numbers[STATE] = onward, some, WORKING
            remote.line.call.ring()
        self._working.update(self._remotes)

    def ask(self, name: str, args: Callable[[range], tuple[Any, ...]] | None = None) -> list[Any]:
        """What each worker answers to ``name`` with ``args`` of its share of the envs."""
        patience = self.patience.start if name == "build" else self.patience.step
        for remote in self._remotes:
            remote.numbers[ORDER], remote.numbers[STATE] = WORDS, WORKING
            remote.line.call.ring()
            self._working.add(remote)
            try:
                remote.line.send((name, () if args is None else args(remote.envs)))
            except EnvError:
                self.end()  # it waits for words that cannot be said
                raise
            except OSError:  # it is gone: wait() finds out how
                break
        answers: dict[_Remote, Any] = {}
        self.wait(patience, answers)
        return [answers[remote] for remote in self._remotes]

    def wait(self, patience: float | None = None, answers: dict[_Remote, Any] | None = None) -> None:
        """Until all have answered; with ``answers``, in words."""
        try:
            self._hear_all(self.patience.step if patience is None else patience, answers)
        except EnvcliError:
            self.end()
            raise
        except BaseException:  # a Ctrl-C, most of all
            self._halt()
            raise

    def _hear_all(self, patience: float, answers: dict[_Remote, Any] | None) -> None:
        seen: dict[_Remote, tuple[Any, float]] = {}
        while self._working:
            ready = self._poll.poll(_SLICE * 1000)
            for fd, _ in ready:
                remote, ended = self._by_fd[fd]
                if ended:
                    self._dead(remote)
                remote.line.answer.wait()
                self._hear(remote, answers)
            if not ready and patience:
                self._look_for_progress(patience, seen)

    def _hear(self, remote: _Remote, answers: dict[_Remote, Any] | None) -> None:
        state = remote.numbers[STATE]
        if state == WORKING:
            return
        self._working.discard(remote)
        if state == FAILED or answers is not None:
            try:
                fine, answer = remote.line.receive()
            except (EOFError, OSError):
                self._dead(remote)
            if not fine:
                raise self._failure(remote, answer)
            if answers is not None:
                answers[remote] = answer

    # -- what goes wrong ------------------------------------------------------------------------------------------

    def _failure(self, remote: _Remote, report: dict[str, Any]) -> EnvcliError:
        """What a worker reported, as an error of ours: of its own kind, if that is one of ours."""
        kind = next((kind for kind in report["kinds"] if kind in errors.__all__), None)
        plain = kind in ("SpecError", "ConfigError", "TransformError", "StoreError")  # made of a message alone
        ours: type[EnvcliError] = getattr(errors, kind) if plain and kind else EnvError
        said = report["message"] if kind else f"{report['kinds'][0]}: {report['message']}".rstrip(": ")
        error = ours(f"{remote.where()}: {said}")
        error.add_note(f"In the worker:\n{report['traceback']}")
        return error

    def _dead(self, remote: _Remote) -> None:
        how, where = remote.process.how_it_ended(), remote.where()
        if remote.numbers[STATE] != WORKING:
            where = f"env {remote.envs[0]} to {remote.envs[-1]} (worker {remote.index}) at rest"
        error = EnvError(f"{where}: the worker {how}")
        if stack := remote.read_stack():
            error.add_note(f"In the worker:\n{stack}")
        raise error

    def _look_for_progress(self, patience: float, seen: dict[_Remote, tuple[Any, float]]) -> None:
        now = time.monotonic()
        for remote in self._working:
            state = bytes(remote.numbers[NOTE])
            if seen.get(remote, (None, 0.0))[0] != state:
                seen[remote] = state, now
            elif now - seen[remote][1] > patience - _SLICE:
                raise self._hung(remote, patience)

    def _hung(self, remote: _Remote, patience: float) -> EnvError:
        if remote.process.is_stopped():
            return EnvError(f"{remote.where()}: the worker is stopped (SIGSTOP), no answer in {patience:g} s")
        remote.process.send(signal.SIGUSR1)
        until = time.monotonic() + _STACK_IN
        while not (stack := remote.read_stack()) and time.monotonic() < until:
            time.sleep(0.01)
        error = EnvError(
            f"{remote.where()}: no answer in {patience:g} s. If it needs longer, raise step_timeout (0: no limit)"
        )
        error.add_note(f"In the worker:\n{stack or '(no Python code is reached: it hangs in native code)'}")
        return error

    def _halt(self) -> None:
        """Bring to rest who still works; end all if one does not come to rest."""
        for remote in self._remotes:
            remote.numbers[HALT] = 1
        until = time.monotonic() + _HALT_IN
        while self._working and time.monotonic() < until:
            self._working = {remote for remote in self._working if remote.numbers[STATE] == WORKING}
            time.sleep(0.005)
        if self._working:
            self.end()
        for remote in self._remotes:
            remote.numbers[HALT] = 0

    # -- the end --------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Are there no workers any more?"""
        return not self._remotes

    def close(self) -> None:
        """Have all envs closed, and end the workers. Raises what an env failed with; the workers are gone then too."""
        if os.getpid() != self.owner or self.ended:
            return
        try:
            self._halt()
            if not self.ended:
                self.ask_to_close()
        finally:
            self.end()

    def ask_to_close(self) -> None:
        """Have all envs closed; who takes too long is not waited for."""
        for remote in self._remotes:
            remote.numbers[ORDER], remote.numbers[STATE] = WORDS, WORKING
            remote.line.call.ring()
            remote.line.send(("close", ()))
        self._working.update(self._remotes)
        until = time.monotonic() + self.patience.close
        self._hear_all_until(until)

    def _hear_all_until(self, until: float) -> None:
        while self._working and time.monotonic() < until:
            for fd, _ in self._poll.poll(_SLICE * 1000):
                remote, ended = self._by_fd[fd]
                if ended:
                    self._working.discard(remote)
                    self._poll.unregister(fd)
                else:
                    remote.line.answer.wait()
                    self._hear(remote, {})

    def end(self) -> None:
        """Kill whatever is left."""
        if os.getpid() != self.owner:  # a forked child's copy: the workers are not its own
            return
        remotes, self._remotes = self._remotes, []
        for remote in remotes:
            remote.process.send(signal.SIGKILL)
        for remote in remotes:
            remote.end()
        self._working.clear()
        self._by_fd.clear()
        self._poll = select.poll()

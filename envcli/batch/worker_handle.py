"""One worker as the main process sees it."""

from __future__ import annotations

import math
import os
import signal
import struct
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from io import FileIO
from multiprocessing.connection import Connection
from socket import SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET, socketpair
from typing import Any

import torch

from envcli.batch.bell import Bell
from envcli.batch.channel import (
    AUTORESET,
    IDLE,
    NOTE,
    ONWARD,
    ORDER,
    RESET,
    SOME,
    START,
    STATE,
    STEP,
    STOP,
    TOGETHER,
    WORDS,
    WORKING,
    Channel,
    in_words,
)
from envcli.batch.fault import Fault, located, traced
from envcli.batch.phases import PHASES, RESETTING, STEPPING
from envcli.batch.process import Process, start_process
from envcli.batch.timeouts import Timeouts
from envcli.errors import EnvcliError, EnvError
from envcli.memory.mapped import mapped
from envcli.rows.note import PHASE, PLACE, ROW, VAGUE

__all__ = ["WorkerHandle"]

_STACK_IN = 0.3  # seconds that a hung worker has to write its stack
_STACK = 2**16  # bytes of it that are read
_DEVNULL = "/dev/null"


class WorkerHandle:
    """A worker: its process, its channel, its share of the envs; and what to say when it fails.

    Args:
        index: which of the workers.
        envs: which of the envs are its.
        table: the numbers of all channels, ``[workers, NUMBERS]``.
        timeouts: how long to wait for it.
        first: what errors call the first worker and the first env of the batch.
    """

    def __init__(self, index: int, envs: range, table: torch.Tensor, timeouts: Timeouts, first: int = 0) -> None:
        self.index, self.envs, self.timeouts, self._first = index, envs, timeouts, first
        self._name = f"worker {first + index}"
        self.seeds: Sequence[int | None] = [None] * len(envs)
        self.word = ""  # the last that was said to it
        self.restarts = 0  # of this share since it was seeded
        self.instead_of = ""  # what happened to the one before it, of this share
        self.process: Process | None = None
        self._mapped = mapped(table)
        with ExitStack() as opened:
            ours, theirs = map(opened.enter_context, socketpair())
            for option in (SO_RCVTIMEO, SO_SNDTIMEO):  # a stopped worker may leave off in the middle of a word
                ours.setsockopt(SOL_SOCKET, option, _as_timeval(timeouts.step))
            call, answer = (opened.enter_context(closing(Bell())) for _ in range(2))
            words = opened.enter_context(closing(Connection(ours.detach())))
            self.channel = Channel(table[index], call, answer, words)
            self._theirs = theirs
            self._stack = opened.enter_context(_scratch())
            self._opened = opened.pop_all()
        self.numbers = self.channel.numbers

    def start(self, method: str, setting: dict[str, Any]) -> None:
        """Start its process; see :func:`~envcli.batch.process.start_process`."""
        with ExitStack() as opened:
            fds = {"words": self._theirs.fileno(), "stack": self._stack.fileno()}
            fds |= {"call": self.channel.call.listen_fd, "answer": self.channel.answer.ring_fd}
            for name, own in (("stdout", 1), ("stderr", 2)):
                fds[name] = own if _is_open(own) else opened.enter_context(open(_DEVNULL, "wb")).fileno()
            self.process = start_process(method, fds)
        self._theirs.close()
        ours = {"table": self._mapped, "index": self.index, "first": self.envs.start}
        self.channel.send(in_words({**setting, **ours}))

    def ordered(self, order: int, start: int, stop: int, onward: int, some: int, together: int) -> None:
        """Give it an order. With other workers ``together``, it rings only if it is the last to finish."""
        numbers = self.numbers
        if order == AUTORESET:  # who dies before it begins has noted nothing of it
            numbers[PLACE], numbers[PHASE], numbers[ROW], numbers[VAGUE] = 0, STEPPING, start, 0
        numbers[ORDER], numbers[START], numbers[STOP] = order, start, stop
        numbers[ONWARD], numbers[SOME], numbers[TOGETHER] = onward, some, together
        numbers[STATE] = WORKING
        self.channel.call.ring()

    def told(self, word: str) -> None:
        """Have it listen for ``word``, which is sent next."""
        self.word = word
        self.numbers[PHASE] = PHASES.index(word if word in PHASES else "call")
        self.numbers[ORDER], self.numbers[TOGETHER], self.numbers[STATE] = WORDS, 0, WORKING
        self.channel.call.ring()

    def unfinished(self) -> tuple[int, int, int, int, int, int] | None:
        """The order that it has not completed; of several rows, those from its current one on."""
        order, start, stop, onward, some, together, state = self.numbers[ORDER : STATE + 1].tolist()
        phase, row = self.numbers[PHASE], self.numbers[ROW]
        if state != WORKING or order == WORDS:
            return None
        if order == AUTORESET:
            start = max(start, row - (phase == RESETTING))
        return order, start, stop, onward, some, together

    def is_dead(self) -> bool:
        """Has its process ended?"""
        return self.process is not None and self.process.status() is not None

    def kill(self) -> None:
        """Kill it, and do not wait."""
        if self.process is not None:
            self.process.send(signal.SIGKILL)

    def leave(self, patience: float) -> None:
        """Wait for it to end by itself; see :mod:`envcli.batch.fork_server` for what that spares."""
        if self.process is not None:
            self.process.status(patience)

    def end(self) -> None:
        """Kill it, wait until it is dead, and release all its resources."""
        if self.process is not None:
            self.process.end()
        self._opened.close()

    # -- what goes wrong ------------------------------------------------------------------------------------------

    def where(self, offset: int = 0, exact: bool = True) -> str:
        """Which env is doing what: ``"env 5 (worker 1, seed 13) in step 17"``.

        Args:
            offset: what the number of the step is more than that of the row.
            exact: False: it may be in a later row than the one that it noted last, where it says so.
        """
        place, phase, row, *_ = self.numbers[NOTE].tolist()
        order, start = self.numbers[ORDER], self.numbers[START]
        doing = {STEP: "step", RESET: "reset"}.get(order, PHASES[phase])  # who was dead before has not noted it
        if order == AUTORESET and row < start:
            doing, row = "step", start
        vague = not exact and order == AUTORESET and bool(self.numbers[VAGUE])
        doing = self.word if doing == "call" else doing
        return located(self._first + self.envs[place], self._name, self.seeds[place], doing, row + offset, vague)

    def failure(self, fault: Fault, offset: int) -> EnvcliError | AttributeError:
        """The error that it reported, as one of ours."""
        looked_up = self.numbers[ORDER] == WORDS and self.word == "get"
        return fault.error(self.where(offset), looked_up)

    def death(self, offset: int) -> EnvError:
        """The error for its death."""
        assert self.process is not None
        how = self.process.how_it_ended()
        if self.numbers[STATE] == IDLE:
            first, last = self._first + self.envs[0], self._first + self.envs[-1]
            envs = f"env {first}" if first == last else f"envs {first} to {last}"
            return traced(EnvError(f"{envs} ({self._name}) while idle: the worker {how}"), self._read_stack())
        return traced(EnvError(f"{self.where(offset, exact=False)}: the worker {how}"), self._read_stack())

    def hung(self, offset: int) -> EnvError:
        """The error for a worker that does not answer."""
        assert self.process is not None
        word = self.word if self.numbers[ORDER] == WORDS else ""
        option = {"build": "start_timeout", "close": "close_timeout"}.get(word, "step_timeout")
        silent = f"no answer in {self.timeouts.of(word):g} s"
        where = self.where(offset, exact=False)
        if self.process.is_stopped():
            return EnvError(f"{where}: the worker is stopped (SIGSTOP), {silent}")
        self.process.send(signal.SIGUSR1)
        until, before = time.monotonic() + _STACK_IN, ""
        while (not (stack := self._read_stack()) or stack != before) and time.monotonic() < until:
            before = stack  # it is written piece by piece
            time.sleep(0.01)
        cure = f"If it needs longer, raise {option} (0: no limit)"
        return traced(EnvError(f"{where}: {silent}. {cure}"), stack or "(no stack trace available)")

    def _read_stack(self) -> str:
        """What its faulthandler has written, or what it left behind."""
        return os.pread(self._stack.fileno(), _STACK, 0).decode(errors="replace").strip()


def _scratch() -> Any:  # Any: typeshed gives a temporary file a private name
    """A file without a name."""
    if hasattr(os, "memfd_create"):
        return FileIO(os.memfd_create("envcli-stack"), "r+")
    return tempfile.TemporaryFile(buffering=0)


def _as_timeval(seconds: float) -> bytes:
    """A timeout for a socket: whole seconds, within its limits; 0: none, so that half a second becomes one."""
    return struct.pack("ll", math.ceil(min(seconds, 2**53)), 0)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True

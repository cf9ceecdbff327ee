"""A worker's process as the main process sees it, however it was started."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Mapping
from multiprocessing import reduction
from multiprocessing.connection import Connection
from socket import socket, socketpair
from typing import Any

from envcli.batch.fork_server import FDS, die_with_parent, run_worker
from envcli.batch.keeper import lastingly
from envcli.batch.undisturbed import undisturbed
from envcli.errors import ConfigError, EnvError

__all__ = ["METHODS", "Process", "end_fork_server", "start_process"]

METHODS = ("forkserver", "spawn", "fork")

_TOLD_IN = 1.0  # seconds to hear how a process ended that is known to have ended
_TURN = 0.05  # seconds that one thread listens to the fork server until another one may


class Process:
    """A process that is not necessarily our child.

    Args:
        pid: its number.
        fork_server: where it was born; None: we forked it ourselves.
    """

    def __init__(self, pid: int, fork_server: _ForkServer | None) -> None:
        self.pid = pid
        self._fork_server = fork_server
        self._status: int | None = None
        self._lost = False  # nobody will ever tell how it ended
        self.fd: int | None = None  # readable when the process has ended; None where there is no such thing
        if hasattr(os, "pidfd_open"):
            try:
                self.fd = os.pidfd_open(pid)
            except ProcessLookupError:  # it has ended, and whoever asks will be told
                pass
            except OSError:
                self.end()
                raise

    def status(self, patience: float = 0) -> int | None:
        """How it ended, as ``os.waitpid`` says it; None: it runs, or nobody tells within ``patience`` seconds."""
        until = time.monotonic() + patience
        while self._status is None and not self._lost:
            left = max(until - time.monotonic(), 0)
            if self._fork_server is not None:
                self._status = self._fork_server.told(self.pid, left)
                return self._status
            try:
                found, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it, or it was ignored
                self._lost = True
                return None
            self._status = status if found else None
            if not found and not left:
                return None
            if not found:
                time.sleep(0.005)
        return self._status

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._status is not None or self._lost:
            return
        with contextlib.suppress(ProcessLookupError):
            if self.fd is not None:
                signal.pidfd_send_signal(self.fd, number)
            else:
                os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it if it still runs, wait for that, and forget it."""
        self.send(signal.SIGKILL)
        self.status(_TOLD_IN)
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def how_it_ended(self) -> str:
        """In words: ``"was killed by SIGSEGV"``."""
        status = self.status(_TOLD_IN)
        if status is None:
            return "ended"
        if os.WIFSIGNALED(status):
            return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
        return f"exited with code {os.waitstatus_to_exitcode(status)}"

    def is_stopped(self) -> bool:
        """Has somebody sent it SIGSTOP?"""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] in ("T", "t")
        except OSError:
            return False


def start_process(method: str, given: Mapping[str, int]) -> Process:
    """A new worker.

    Args:
        method: ``"forkserver"``: forked from the fork server, which has torch; ``"spawn"``: a fresh interpreter;
            ``"fork"``: forked from this very process, with all it holds.
        given: the file descriptors it is given, by the names in ``FDS``; they stay open here.

    Raises:
        EnvError: no process can be started; says why.
    """
    if method not in METHODS:
        raise ConfigError(f"start_method: found {method!r}, expected one of {', '.join(METHODS)}.")
    fds = [given[name] for name in FDS]
    if method != "fork":
        return _born(method, fds)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # what is not yet written would be written by both
            stream.flush()
    try:
        return lastingly(lambda: _forked(fds))
    except BlockingIOError as error:
        raise EnvError(f"cannot start a worker process ({error.strerror})") from error


def _forked(fds: list[int]) -> Process:
    parent = os.getpid()
    with undisturbed(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: that threads are not forked along
        pid = os.fork()
        if pid == 0:
            try:
                die_with_parent(parent)
                run_worker([os.dup(fd) for fd in fds])
            finally:
                os._exit(1)
        return Process(pid, None)


def _born(method: str, fds: list[int]) -> Process:
    for _ in range(2):
        fork_server = _fork_server()
        with contextlib.suppress(EOFError, ConnectionError):  # it has just ended for want of work
            return Process(fork_server.birth(method, fds), fork_server)
        fork_server.end()
    raise EnvError("cannot start the worker processes (the process that starts them exited by itself)")


class _ForkServer:
    """The fork server's process (see :mod:`envcli.batch.fork_server`), as this process sees it."""

    def __init__(self) -> None:
        ours, theirs = socketpair()
        path = [os.getcwd() if entry == "" else entry for entry in sys.path]
        code = f"import sys; sys.path[:] = {path!r}; from envcli.batch.fork_server import main; "
        code += f"main({theirs.fileno()}, {os.getpid()})"
        threads = {name: os.environ.get(name, "1") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        with ours, theirs:
            self._process = lastingly(
                lambda: subprocess.Popen(
                    [sys.executable, "-c", code],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **threads},
                    process_group=0,  # Ctrl-C and Ctrl-Z are the main process's to deal with
                )
            )
            self._line = ours.dup()  # the same, for file descriptors; made now, for later there may be too few
            self._channel = Connection(ours.detach())
        self._lock = threading.Lock()  # of the channel
        self._orders = itertools.count()
        self._answers: dict[int, dict[str, Any]] = {}
        self._living: set[int] = set()
        self._dead: dict[int, int] = {}
        self.end = weakref.finalize(self, _end, self._process, self._channel, self._line, os.getpid())

    def lives(self) -> bool:
        """Can workers be born here?"""
        return self.end.alive and self._process.poll() is None

    @property
    def empty(self) -> bool:
        """Are all workers that were born here dead?"""
        return not self._living

    def birth(self, method: str, fds: list[int]) -> int:
        """The number of a new process. Raises EOFError or ConnectionError if the fork server has just ended."""
        with self._lock, undisturbed():
            order = next(self._orders)
            self._channel.send_bytes(json.dumps({"order": order, "method": method}).encode())
            reduction.sendfds(self._line, fds)
        while order not in self._answers:
            self._listen(_TURN)
        answer = self._answers.pop(order)
        if "failed" in answer:
            raise EnvError(f"cannot start a worker process ({answer['failed']})")
        born: int = answer["born"]
        return born

    def told(self, pid: int, patience: float) -> int | None:
        """How process ``pid`` ended; None: nobody has told yet."""
        until = time.monotonic() + patience
        try:
            while pid not in self._dead:
                self._listen(max(min(until - time.monotonic(), _TURN), 0))
                if time.monotonic() >= until:
                    break
        except (EOFError, OSError):  # the fork server is gone, and all that were born there with it
            self._living.clear()
            return signal.SIGKILL
        return self._dead.pop(pid, None)

    def _listen(self, patience: float) -> None:
        with self._lock:
            if not self._channel.poll(patience):
                return
            with undisturbed():
                word: dict[str, Any] = json.loads(self._channel.recv_bytes())
                if "dead" in word:
                    self._living.discard(word["dead"])
                    self._dead[word["dead"]] = word["status"]
                else:
                    self._answers[word["order"]] = word
                    self._living.update({word["born"]} if "born" in word else ())


def _end(process: subprocess.Popen[bytes], channel: Connection, line: socket, owner: int) -> None:
    if owner == os.getpid():  # a forked child's copy ends nothing
        channel.close()
        line.close()
        process.kill()
        process.wait()


_SHARED: list[_ForkServer] = []  # the fork server of this process, once there is one
_LOCK = [threading.Lock()]  # of the list above


def _fork_server() -> _ForkServer:
    """The living fork server of this process."""
    with _LOCK[0]:
        if _SHARED and not _SHARED[0].lives():
            _SHARED.pop().end()
        if not _SHARED:
            try:
                _SHARED.append(_ForkServer())
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    raise
                raise EnvError(f"cannot start the worker processes ({error.strerror})") from error
        return _SHARED[0]


def end_fork_server() -> None:
    """Do not keep the fork server for the next batch, unless it has workers of another one."""
    with _LOCK[0]:
        if _SHARED and _SHARED[0].empty:
            _SHARED.pop().end()


def _after_fork() -> None:
    for fork_server in _SHARED:
        fork_server.end.detach()  # it is the parent's
    _SHARED.clear()
    _LOCK[0] = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

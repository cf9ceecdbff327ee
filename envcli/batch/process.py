"""The process of a worker, seen from the main process, whichever way it was started."""

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
    """A process that need not be a child of this one.

    Args:
        pid: its process id.
        fork_server: its parent; None: this process.
    """

    def __init__(self, pid: int, fork_server: _ForkServer | None) -> None:
        self.pid = pid
        self._fork_server = fork_server
        self._status: int | None = None
        self._lost = False  # its exit status cannot be had any more
        self.fd: int | None = None  # readable once the process has ended; None where the system has no pidfd
        if hasattr(os, "pidfd_open"):
            try:
                self.fd = os.pidfd_open(pid)
            except ProcessLookupError:  # it has ended; status() will say how
                pass
            except OSError:
                self.end()
                raise

    def status(self, patience: float = 0) -> int | None:
        """Its status as of ``os.waitpid``, waiting up to ``patience`` seconds; None: it runs, or nobody can tell."""
        until = time.monotonic() + patience
        while self._status is None and not self._lost:
            left = max(until - time.monotonic(), 0)
            if self._fork_server is not None:
                self._status = self._fork_server.told(self.pid, left)
                return self._status
            try:
                found, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # something else has waited for it, or SIGCHLD is ignored
                self._lost = True
                return None
            self._status = status if found else None
            if not found and not left:
                return None
            if not found:
                time.sleep(0.005)
        return self._status

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._status is not None or self._lost:
            return
        with contextlib.suppress(ProcessLookupError):
            if self.fd is not None:
                signal.pidfd_send_signal(self.fd, number)
            else:
                os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it if it is running, wait until it has ended, and release the file descriptor."""
        self.send(signal.SIGKILL)
        self.status(_TOLD_IN)
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def how_it_ended(self) -> str:
        """How it ended, in words: ``"was killed by SIGSEGV"``."""
        status = self.status(_TOLD_IN)
        if status is None:
            return "ended"
        if os.WIFSIGNALED(status):
            return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
        return f"exited with code {os.waitstatus_to_exitcode(status)}"

    def is_stopped(self) -> bool:
        """Is it stopped, as by SIGSTOP?"""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] in ("T", "t")
        except OSError:
            return False


def start_process(method: str, given: Mapping[str, int]) -> Process:
    """Start a worker.

    Args:
        method: ``"forkserver"``: forked from the fork server, which has imported torch; ``"spawn"``: a fresh
            interpreter; ``"fork"``: forked from this process, with everything in it.
        given: its file descriptors, by the names in ``FDS``; they stay open here.

    Raises:
        EnvError: the process cannot be started; says why.
    """
    if method not in METHODS:
        raise ConfigError(f"start_method: found {method!r}, expected one of {', '.join(METHODS)}.")
    fds = [given[name] for name in FDS]
    if method != "fork":
        return _born(method, fds)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # or both processes would write what is in the buffer
            stream.flush()
    try:
        return lastingly(lambda: _forked(fds))
    except BlockingIOError as error:
        raise EnvError(f"cannot start a worker process ({error.strerror})") from error


def _forked(fds: list[int]) -> Process:
    parent = os.getpid()
    with undisturbed(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns that threads are not copied
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
        with contextlib.suppress(EOFError, ConnectionError):  # it had no workers and has just ended
            return Process(fork_server.birth(method, fds), fork_server)
        fork_server.end()
    raise EnvError("cannot start the worker processes (the process that starts them exited by itself)")


class _ForkServer:
    """The fork server (see :mod:`envcli.batch.fork_server`), seen from this process."""

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
                    process_group=0,  # the main process handles Ctrl-C and Ctrl-Z
                )
            )
            self._line = ours.dup()  # to send file descriptors; made now, as later there may be too few
            self._channel = Connection(ours.detach())
        self._lock = threading.Lock()  # of the channel
        self._orders = itertools.count()
        self._answers: dict[int, dict[str, Any]] = {}
        self._living: set[int] = set()
        self._dead: dict[int, int] = {}
        self.end = weakref.finalize(self, _end, self._process, self._channel, self._line, os.getpid())

    def lives(self) -> bool:
        """Is it running?"""
        return self.end.alive and self._process.poll() is None

    @property
    def empty(self) -> bool:
        """Have all its workers ended?"""
        return not self._living

    def birth(self, method: str, fds: list[int]) -> int:
        """The process id of a new worker. Raises EOFError or ConnectionError if the fork server has just ended."""
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
        """The status in which process ``pid`` ended; None: it has not been reported in ``patience`` seconds."""
        until = time.monotonic() + patience
        try:
            while pid not in self._dead:
                self._listen(max(min(until - time.monotonic(), _TURN), 0))
                if time.monotonic() >= until:
                    break
        except (EOFError, OSError):  # the fork server is gone, and its workers with it
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
    if owner == os.getpid():  # not in a forked child
        channel.close()
        line.close()
        process.kill()
        process.wait()


_SHARED: list[_ForkServer] = []  # the fork server of this process, once there is one
_LOCK = [threading.Lock()]  # of the list above


def _fork_server() -> _ForkServer:
    """The fork server of this process, started if there is none."""
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
    """End the fork server, unless it has workers of another batch."""
    with _LOCK[0]:
        if _SHARED and _SHARED[0].empty:
            _SHARED.pop().end()


def _after_fork() -> None:
    for fork_server in _SHARED:
        fork_server.end.detach()  # it belongs to the parent
    _SHARED.clear()
    _LOCK[0] = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

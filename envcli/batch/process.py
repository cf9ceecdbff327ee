"""A worker's process as the main process sees it, however it was started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from multiprocessing import reduction
from multiprocessing.connection import Connection
from socket import socket, socketpair
from typing import Any

from envcli.batch.nursery import FDS, die_with_parent, run_worker
from envcli.errors import ConfigError, EnvError

__all__ = ["METHODS", "Process", "start_process"]

METHODS = ("forkserver", "spawn", "fork")

_TOLD_IN = 1.0  # seconds to hear how a process ended that is known to have ended


class Process:
    """A process that is not necessarily our child.

    Args:
        pid: its number.
        nursery: where it was born; None: we forked it ourselves.
    """

    def __init__(self, pid: int, nursery: _Nursery | None) -> None:
        self.pid = pid
        self._nursery = nursery
        self._status: int | None = None
        self.fd: int | None = None  # readable when the process has ended; None where there is no such thing
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(ProcessLookupError):  # it has ended, and whoever asks will be told
                self.fd = os.pidfd_open(pid)

    def status(self, patience: float = 0) -> int | None:
        """How it ended, as ``os.waitpid`` says it; None: it runs, or nobody tells within ``patience`` seconds."""
        until = time.monotonic() + patience
        while self._status is None:
            left = max(until - time.monotonic(), 0)
            if self._nursery is not None:
                self._status = self._nursery.told(self.pid, left)
                return self._status
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if found else None
            if not found and not left:
                return None
            if not found:
                time.sleep(0.005)
        return self._status

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._status is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self.fd is not None:
                signal.pidfd_send_signal(self.fd, number)
            else:
                os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it if it still runs, and forget it."""
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
        return f"ended by itself, with exit code {os.waitstatus_to_exitcode(status)}"

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
        method: ``"forkserver"``: forked from the nursery, which has torch; ``"spawn"``: a fresh interpreter;
            ``"fork"``: forked from this very process, with all it holds.
        given: the file descriptors it is given, by the names in ``FDS``; they stay open here.
    """
    if method not in METHODS:
        raise ConfigError(f"start_method: found {method!r}, expected one of {', '.join(METHODS)}.")
    fds = [given[name] for name in FDS]
    if method != "fork":
        nursery = _nursery()
        return Process(nursery.birth(method, fds), nursery)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with_parent(parent)
        run_worker([os.dup(fd) for fd in fds])
    return Process(pid, None)


class _Nursery:
    """The nursery's process (see :mod:`envcli.batch.nursery`)."""

    def __init__(self) -> None:
        ours, theirs = socketpair()
        path = [os.getcwd() if entry == "" else entry for entry in sys.path]
        code = f"import sys; sys.path[:] = {path!r}; from envcli.batch.nursery import main; "
        code += f"main({theirs.fileno()}, {os.getpid()})"
        threads = {name: os.environ.get(name, "1") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **threads},
                process_group=0,  # Ctrl-C and Ctrl-Z are the main process's to deal with
            )
        self._channel = Connection(ours.detach())
        self._dead: dict[int, int] = {}
        self._born: list[int] = []
        self.owner = os.getpid()
        self.end = weakref.finalize(self, _end, self._process, self._channel)

    def lives(self) -> bool:
        """Can workers be born here?"""
        return self.end.alive and self._process.poll() is None

    def birth(self, method: str, fds: list[int]) -> int:
        """The number of a new process. Raises OSError if the nursery has just ended."""
        self._channel.send_bytes(json.dumps({"method": method}).encode())
        with socket(fileno=os.dup(self._channel.fileno())) as line:
            reduction.sendfds(line, fds)
        while not self._born:
            self._listen(None)
        return self._born.pop()

    def told(self, pid: int, patience: float) -> int | None:
        """How process ``pid`` ended; None: nobody has told yet."""
        until = time.monotonic() + patience
        try:
            while pid not in self._dead and self._listen(max(until - time.monotonic(), 0)):
                pass
        except (EOFError, OSError):  # the nursery is gone, and all that were born there with it
            return signal.SIGKILL
        return self._dead.pop(pid, None)

    def _listen(self, patience: float | None) -> bool:
        if not self._channel.poll(patience):
            return False
        word: dict[str, Any] = json.loads(self._channel.recv_bytes())
        if "born" in word:
            self._born.append(word["born"])
        else:
            self._dead[word["dead"]] = word["status"]
        return True


def _end(process: subprocess.Popen[bytes], channel: Connection) -> None:
    channel.close()  # this is what the nursery waits for
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_SHARED: list[_Nursery] = []  # the nursery of this process, once there is one


def _nursery() -> _Nursery:
    """The living nursery of this process. A forked child has not inherited its parent's."""
    if _SHARED and (_SHARED[0].owner != os.getpid() or not _SHARED[0].lives()):
        old = _SHARED.pop()
        if old.owner == os.getpid():
            old.end()
        else:
            old.end.detach()
    if not _SHARED:
        try:
            _SHARED.append(_Nursery())
        except OSError as error:
            raise EnvError(f"no process for the workers can be started ({error.strerror})") from error
    return _SHARED[0]

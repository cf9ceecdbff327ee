"""The fork server: a small process that forks the workers of a batch, and takes them along when it ends.

Workers are not forked from the main process, because a child deadlocks if an EGL context or a thread pool exists there;
and a fresh interpreter needs seconds to import torch. The fork server imports torch once, does nothing else, and forks
a worker in 20 ms. Workers ask the kernel to kill them when the fork server ends, which works even if they hang or are
stopped. The fork server ends when the main process does, for whatever reason. Each worker has a process group of its
own, which includes the programs that its envs start. If it ends without having closed its envs, the whole group is
killed.

It is run as a program, with one end of a socket. It imports nothing but the standard library until the first worker is
wanted.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing import reduction
from multiprocessing.connection import Connection
from socket import socket
from typing import NoReturn

__all__ = ["FDS", "die_with_parent", "main", "run_worker"]

FDS = ("words", "call", "answer", "stack", "stdout", "stderr")  # file descriptors of a worker, in this order

_LINGER = 5.0  # seconds without a worker until it ends; the main process starts a new one when needed
_LOOK = 0.25  # seconds between two checks that the main process is alive
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NAME = 15


def main(fd: int, parent: int) -> None:
    """Serve orders from ``fd`` until the main process, ``parent``, ends, or there has been no worker for a while."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _name(b"envcli-forks")
    if sys.platform == "linux":  # it may end while torch is being imported here, which takes seconds
        die_with_parent(parent)
    wakeup, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with contextlib.suppress(EOFError, OSError, RuntimeError):  # the main process is gone: so are we
        _serve(Connection(fd), parent, wakeup, waker)


def _serve(channel: Connection, parent: int, wakeup: int, waker: int) -> None:
    fd, children, last = channel.fileno(), 0, time.monotonic()
    while os.getppid() == parent and (children or time.monotonic() - last < _LINGER):
        ready, _, _ = select.select([fd, wakeup], [], [], _LOOK)
        if wakeup in ready:
            os.read(wakeup, 4096)
        children -= _reap(channel)
        if fd in ready:
            order = json.loads(channel.recv_bytes())
            with socket(fileno=os.dup(fd)) as line:
                fds = reduction.recvfds(line, len(FDS))
            answer: dict[str, int | str]
            try:
                answer = {"born": _birth(order["method"], fds, [fd, wakeup, waker])}
                children += 1
            except Exception as error:  # no more processes, or no torch to import
                answer = {"failed": f"{type(error).__name__}: {error}"}
            for given in fds:
                os.close(given)
            _say(channel, {"order": order["order"], **answer})
        if children:
            last = time.monotonic()


def _reap(channel: Connection) -> int:
    """Report the exit status of each child that has ended. Returns how many there were."""
    count = 0
    with contextlib.suppress(ChildProcessError):
        while True:
            _kill_what_it_started()
            found = os.waitpid(-1, os.WNOHANG)
            if not found[0]:
                break
            count += 1
            _say(channel, {"dead": found[0], "status": found[1]})
    return count


def _kill_what_it_started() -> None:
    """Kill the process group of a child that has ended, unless it closed its envs and so left nothing running.

    Until somebody waits for the child, its process id cannot be that of another process or group.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is not None and (found.si_code != os.CLD_EXITED or found.si_status):
        with contextlib.suppress(OSError):  # it is too young to have a group
            os.killpg(found.si_pid, signal.SIGKILL)


def _say(channel: Connection, word: Mapping[str, int | str]) -> None:
    channel.send_bytes(json.dumps(word).encode())


def _birth(method: str, fds: list[int], ours: list[int]) -> int:
    if method == "forkserver":
        import envcli.batch.worker  # torch with it, once for all workers
        import envcli.chain.transformed_env  # and what most of their envs are made of, 50 ms for each
        import envcli.envs.env_base  # noqa: F401
    fork_server = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in ours:
                os.close(fd)
            die_with_parent(fork_server)
            os.setpgid(0, 0)
            if method == "spawn":
                for fd in fds:
                    os.set_inheritable(fd, True)
                program = f"import sys; sys.path[:] = {sys.path!r}; from envcli.batch.fork_server import run_worker; "
                os.execv(sys.executable, [sys.executable, "-c", program + f"run_worker({fds!r})"])
            run_worker(fds)
        finally:
            os._exit(1)
    return pid


def run_worker(fds: list[int]) -> NoReturn:
    """Turn this process into a worker. The arguments are its file descriptors, in the order of ``FDS``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all processes; the main process ends us
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    _name(b"envcli-worker")
    given = dict(zip(FDS, fds, strict=True))
    for name, own in (("stdout", 1), ("stderr", 2)):
        os.dup2(given[name], own)
        os.close(given[name])
    code = 1
    try:
        from envcli.batch.worker import work

        work(given["words"], given["call"], given["answer"], given["stack"])
        code = 0
    except BaseException:  # the main process reads the reason from the stack file
        os.write(given["stack"], traceback.format_exc().encode())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)  # without the exit handlers of the parent


def die_with_parent(parent: int) -> None:
    """Have this process killed when ``parent`` ends: by the kernel where possible, even if this process is stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it was quicker
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)


def _name(name: bytes) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name, 0, 0, 0)

"""The side of a job that runs in a process of a launcher, such as joblib or Ray."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from envcli.cli.interrupt import SAVE_IN, Handler, again_soon, heard_by, stack
from envcli.processes import began, family

__all__ = ["ended_with_launcher", "interrupted_once", "launching", "stand_alone"]

_TWICE_IN = 1.0  # seconds in which two interrupts are one
_IMPORT_IN = 5.0  # seconds that one waits for the end of an import
_LAUNCHER = "ENVCLI_LAUNCHER"  # an environment variable: the process that runs the sweep, its birth, and where it is
_LOOK = 0.5  # seconds between two looks whether it is still there

_idle = threading.Event()  # is no job at work in this process?
_begun = threading.Event()  # has one been?


def stand_alone() -> None:
    """Leave the terminal's process group, before the job: its Ctrl-C is for the launching process, which passes it on.

    If both arrived, the second would cut off the saving that the first begins. SIGINT is also enabled where a shell had
    the launcher ignore it, as it does for what it starts in the background: SIGTERM is passed on as SIGINT.
    """
    with contextlib.suppress(OSError):  # the leader of a session has a group of its own already
        os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # Ray's processes are born with it blocked
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        with contextlib.suppress(ValueError):  # not in the main thread, where no signal arrives either
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def launching() -> Iterator[None]:
    """Inside, what this process starts knows that it is the one that launches jobs."""
    os.environ[_LAUNCHER] = f"{os.getpid()}|{began(os.getpid()) or ''}|{_where()}"
    try:
        yield
    finally:
        os.environ.pop(_LAUNCHER, None)


@contextlib.contextmanager
def ended_with_launcher() -> Iterator[None]:
    """Inside, the job is interrupted if the process that launched it is gone, as after a SIGKILL; then this one ends.

    Nobody would pass on a Ctrl-C, or give it another job. Only where that process is above this one, or was before it
    ended: jobs of Slurm, and of another machine, are to go on.
    """
    pid, birth, where = os.environ.get(_LAUNCHER, "0||").split("|")
    launcher = int(pid)
    orphaned = began(launcher) != birth and where == _where()
    _idle.clear()
    if birth and (orphaned or os.getpid() in family(launcher)) and not _Watch.is_at_work():
        _Watch(launcher, birth).start()
    try:
        _begun.set()  # an interrupt before that would be one of the start of a thread, and not of the job
        yield
    finally:
        _idle.set()


def _where() -> str:
    """What must be the same for two processes to mean the same one by a number, and to belong to one job of Slurm."""
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{machine} {os.readlink('/proc/self/ns/pid')} {os.environ.get('SLURM_JOB_ID', '')}"
    except OSError:  # not Linux, where nobody is watched
        return ""


class _Watch(threading.Thread):
    """Waits for the end of the process ``launcher``, which began at ``birth``. A process has one, for all its jobs."""

    def __init__(self, launcher: int, birth: str) -> None:
        super().__init__(daemon=True)
        self._launcher, self._birth = launcher, birth

    @classmethod
    def is_at_work(cls) -> bool:
        return any(isinstance(thread, cls) for thread in threading.enumerate())

    def run(self) -> None:
        _begun.wait()
        while began(self._launcher) == self._birth:
            time.sleep(_LOOK)
        if not _idle.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            _idle.wait(SAVE_IN)
        os._exit(128 + signal.SIGINT)


@contextlib.contextmanager
def interrupted_once() -> Iterator[None]:
    """Inside, two interrupts within a second are one: from the terminal, and from the process that launched the job.

    The second would keep the job from saving what it made. One that comes later is meant. Nobody is there to press a
    key again, so one that arrives during an import waits for its end, for a few seconds at most: modules in C lose a
    KeyboardInterrupt.
    """

    def heeding_once(usual: Handler) -> Handler:
        first, waits = -math.inf, math.inf  # when one was raised first, and since when one waits

        def heed(number: int, frame: FrameType | None) -> None:
            nonlocal first, waits
            now = time.monotonic()
            waits = min(waits, now)
            if _imports(frame) and now - waits < _IMPORT_IN:
                again_soon()
            elif now - first > _TWICE_IN:
                first = now
                usual(number, frame)

        return heed

    with heard_by(heeding_once):
        yield


def _imports(frame: FrameType | None) -> bool:
    """Whether ``frame`` belongs to an import."""
    return any(one.f_code.co_filename.startswith("<frozen importlib") for one in stack(frame))

"""The jobs of a multirun that run in other processes, whatever launcher started them.

``folders``, here, are those of the multiruns that this process has started: more may be added at any time.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from envcli.cli.ended import Ended
from envcli.processes import family
from envcli.reports.job import Job

__all__ = ["interrupted_once", "interruptible", "is_called_off", "leave_if_called_off", "stand_alone", "told"]

Handler = Callable[[int, "FrameType | None"], Any]  # Any: nobody looks at what it returns

_CALLED_OFF = ".interrupted"
_ENDS = (signal.SIGTERM, signal.SIGHUP)
_LOOK = 0.5  # seconds between two looks for jobs that have ended
_TWICE_IN = 1.0  # seconds in which two interrupts are one
_SAVE_IN = 10.0  # seconds that jobs have to save what they made after a Ctrl-C


def stand_alone() -> None:
    """What a launcher's process does before its job: a Ctrl-C in the terminal is for who launched it, who passes it on.

    Two of them would cut off the saving that the first one begins. It is heard also where a shell had the launcher
    ignore it, as any that it starts in the background: SIGTERM is passed on as one.
    """
    with contextlib.suppress(OSError):  # who leads a session has a group of its own already
        os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # Ray's processes are born with it blocked
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        with contextlib.suppress(ValueError):  # not in the main thread, where no signal arrives either
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("SUBMITIT_EXECUTOR") == "local":  # which starts all jobs at once, each for all cores
        import torch

        torch.set_num_threads(1)


@contextlib.contextmanager
def told(folders: Sequence[Path], say: Callable[[Job], None]) -> Iterator[None]:
    """``say`` each job that has ended, as it ends; those that ran in this process have said it."""
    over = threading.Event()
    teller = threading.Thread(target=_tell, args=(folders, say, over), daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _tell(folders: Sequence[Path], say: Callable[[Job], None], over: threading.Event) -> None:
    seen: set[Path] = set()
    while True:
        last = over.wait(_LOOK)
        ended = [job for job in _jobs(folders) if job.status.get("ended") and job.status.get("pid") != os.getpid()]
        for job in ended:
            if job.folder not in seen:
                seen.add(job.folder)
                say(job)
        if last:
            return


@contextlib.contextmanager
def interruptible(folders: Sequence[Path]) -> Iterator[Callable[[], None]]:
    """A Ctrl-C is passed on to the jobs, once, and waits until they have saved what they made.

    Yields what has SIGTERM and SIGHUP do the same from then on, where they would end the process: what jobs in
    processes of their own do would go on without it. A second one ends it at once. Ray puts a handler of its own in
    the place of any other as it begins; what is yielded may be called again.

    Raises:
        Ended: in place of KeyboardInterrupt, after one of these two.
    """
    here = os.getpid()
    ended: list[int] = []
    taken: list[int] = []

    def passing_on(usual: Handler) -> Handler:
        def pass_on(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, usual)  # a second one is not patient
            _interrupt(folders)
            usual(number, frame)

        return pass_on

    def end(number: int, frame: FrameType | None) -> None:
        _give_back(taken)
        if os.getpid() != here:  # a worker that was forked, and has nothing to pass on
            os.kill(os.getpid(), number)
            return
        ended.append(number)
        _interrupt(folders)
        raise KeyboardInterrupt  # and not by SIGINT, which a shell has those ignore that it starts in the background

    def also_when_ended() -> None:
        if threading.current_thread() is threading.main_thread():
            for one in _ENDS:
                usual = signal.getsignal(one)
                if usual == signal.SIG_DFL or str(getattr(usual, "__module__", "")).startswith("ray."):  # not nohup's
                    taken.append(one)
                    signal.signal(one, end)

    heard = False
    try:
        with _heard_by(passing_on) as heard:
            yield also_when_ended
    except KeyboardInterrupt as error:
        if ended:
            raise Ended(ended[0], str(error)) from error
        raise
    finally:
        _give_back(taken)
        if heard or ended:
            for folder in folders:
                _end_submitted(folder)


def _give_back(taken: list[int]) -> None:
    while taken:
        signal.signal(taken.pop(), signal.SIG_DFL)


@contextlib.contextmanager
def interrupted_once() -> Iterator[None]:
    """In a job: a Ctrl-C in a terminal arrives twice, from the terminal and from who launched the job.

    The second would stop it from saving what it made; one that comes a second later is meant.
    """

    def heeding_once(usual: Handler) -> Handler:
        first = -math.inf

        def heed(number: int, frame: FrameType | None) -> None:
            nonlocal first
            if time.monotonic() - first > _TWICE_IN:
                first = time.monotonic()
                usual(number, frame)

        return heed

    with _heard_by(heeding_once):
        yield


@contextlib.contextmanager
def _heard_by(handler: Callable[[Handler], Handler]) -> Iterator[bool]:
    """A Ctrl-C goes to what ``handler`` makes of the usual one. False: not from here, where no signal arrives."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield False
        return
    signal.signal(signal.SIGINT, handler(usual))
    try:
        yield True
    finally:
        signal.signal(signal.SIGINT, usual)


def is_called_off(folder: Path) -> bool:
    """Has the multirun there been interrupted? Its launcher may begin other jobs all the same."""
    return (folder / _CALLED_OFF).exists()


def leave_if_called_off(folder: Path) -> None:
    """End as if it had been told to, where the multirun in ``folder`` was interrupted before this job could be seen.

    Who launched it leaves word first and then looks for jobs; a job can be seen and then looks for that word.
    """
    if is_called_off(folder):
        with contextlib.suppress(ValueError):  # not in the main thread, where no signal arrives either
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it may be told as well
        raise KeyboardInterrupt


def _interrupt(folders: Sequence[Path]) -> None:
    for folder in folders:
        if folder.is_dir():
            (folder / _CALLED_OFF).touch()
    until = time.monotonic() + _SAVE_IN
    for job in _at_work(folders):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(job.status["pid"]), signal.SIGINT)
    while time.monotonic() < until and _at_work(folders):
        time.sleep(0.05)


def _at_work(folders: Sequence[Path]) -> list[Job]:
    """The jobs that run in processes of ours, on this machine."""
    ours = set(family(os.getpid())[1:])
    here = platform.node()
    return [
        job
        for job in _jobs(folders)
        if job.state == "running" and job.status.get("host") == here and job.status.get("pid") in ours
    ]


def _end_submitted(folder: Path) -> None:
    """Submitit leaves its processes running when who waits for them is interrupted; it names a folder after each."""
    ours = set(family(os.getpid())[1:])
    for place in (folder / ".submitit").glob("[0-9]*"):
        if place.name.isdigit() and int(place.name) in ours:
            for pid in family(int(place.name)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _jobs(folders: Sequence[Path]) -> list[Job]:
    return [Job.read(path.parent) for folder in folders for path in sorted(folder.glob("*/status.json"))]

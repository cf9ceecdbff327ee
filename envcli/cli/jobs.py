"""The jobs of a multirun that run in other processes, whatever launcher started them.

``folders`` are always those of the multiruns that this process has started; more may be added while it runs.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from envcli.cli.ended import Ended
from envcli.cli.interrupt import SAVE_IN, Handler, Insistent, call_off, heard_by
from envcli.processes import family
from envcli.reports.job import Job

__all__ = ["interruptible", "told"]

_ENDS = (signal.SIGTERM, signal.SIGHUP)
_LOOK = 0.5  # seconds between two looks for jobs that have ended
_TWICE = 0.5  # seconds within which a second signal is the same one, sent to the group and passed on by timeout(1)
_UNSAID = 1.0  # seconds to wait for them without a word


@contextlib.contextmanager
def told(folders: Sequence[Path], say: Callable[[Job], None]) -> Iterator[None]:
    """Inside, ``say`` is called with each job that has ended in another process, soon after it has."""
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
    """Inside, a Ctrl-C is passed on to the jobs, once, and waits until they have saved what they made.

    Yields a function: once it is called, SIGTERM and SIGHUP do the same, and a later one of them ends the process at
    once. Without it they would end this process, and jobs in other processes would go on. Ray replaces any handler by
    its own when it starts, so the function may be called again.

    Raises:
        Ended: in place of KeyboardInterrupt, after SIGTERM or SIGHUP.
    """
    ends = _EndSignals(folders)

    def passing_on(usual: Handler) -> Handler:
        def pass_on(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, usual)  # a second one is not patient
            _interrupt(folders)
            usual(number, frame)

        return pass_on

    heard = False
    try:
        with heard_by(passing_on) as heard:
            yield ends.take
    except BaseException as error:  # what was interrupted may raise something else
        if ends.arrived is not None:
            raise Ended(ends.arrived, str(error) if isinstance(error, KeyboardInterrupt) else "") from error
        raise
    finally:
        ends.give_back()
        if heard or ends.arrived is not None:
            for folder in folders:
                _end_submitted(folder)


class _EndSignals:
    """SIGTERM and SIGHUP, which interrupt the jobs in ``folders`` from ``take`` to ``give_back``.

    Attributes:
        arrived: the number of the one that arrived; None if none did.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.arrived: int | None = None
        self._arrived_at = 0.0
        self._folders = folders
        self._here = os.getpid()
        self._taken: dict[int, Insistent] = {}

    def take(self) -> None:
        """Handle both, unless they are ignored, as under nohup."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _ENDS:
            usual = signal.getsignal(number)
            if usual == signal.SIG_DFL or str(getattr(usual, "__module__", "")).startswith("ray."):
                self._taken[number] = Insistent(number)
                signal.signal(number, self._end)

    def give_back(self) -> None:
        """Have them end the process again. Safe to call twice."""
        for number, insistent in self._taken.items():
            insistent.over = True
            signal.signal(number, signal.SIG_DFL)
        self._taken.clear()

    def _end(self, number: int, frame: FrameType | None) -> None:
        insistent = self._taken[number]
        if not insistent.again:
            if self.arrived is not None and time.monotonic() - self._arrived_at < _TWICE:
                return
            if os.getpid() != self._here or self.arrived is not None:  # a forked worker, without jobs; or a later one
                self.give_back()
                os.kill(os.getpid(), number)
                return
            self.arrived, self._arrived_at = number, time.monotonic()
            _interrupt(self._folders)
        insistent.interrupt(frame)  # not SIGINT, which a shell makes background processes ignore


def _interrupt(folders: Sequence[Path]) -> None:
    for folder in folders:
        call_off(folder)
    for job in _at_work(folders):  # all there will be: none begins after it was called off
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(job.status["pid"]), signal.SIGINT)
    if left := _left_after(_UNSAID, folders):
        if sys.stderr.isatty():
            who = "a job saves" if left == 1 else f"{left} jobs save"
            text = f"waiting up to {SAVE_IN:g} s while {who} what was made; Ctrl-C again ends at once\n"
            os.write(sys.stderr.fileno(), text.encode())  # print may be what was interrupted
        _left_after(SAVE_IN, folders)


def _left_after(seconds: float, folders: Sequence[Path]) -> int:
    """How many jobs are at work still after some time, or 0 as soon as none is."""
    until = time.monotonic() + seconds
    while (left := len(_at_work(folders))) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _at_work(folders: Sequence[Path]) -> list[Job]:
    """The jobs that run in processes that descend from this one."""
    ours = set(family(os.getpid())[1:])
    here = platform.node()
    return [
        job
        for job in _jobs(folders)
        if job.state == "running" and job.status.get("host") == here and job.status.get("pid") in ours
    ]


def _end_submitted(folder: Path) -> None:
    """End the processes of Submitit, which go on when the one that waits for them is interrupted.

    Submitit names a folder after the id of each.
    """
    ours = set(family(os.getpid())[1:])
    for place in (folder / ".submitit").glob("[0-9]*"):
        if place.name.isdigit() and int(place.name) in ours:
            for pid in family(int(place.name)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _jobs(folders: Sequence[Path]) -> list[Job]:
    found = []
    for folder in folders:
        with contextlib.suppress(OSError):  # the launch says what is wrong with such a folder
            found += [Job.read(path.parent) for path in sorted(folder.glob("*/status.json"))]
    return found

"""A Ctrl-C, and the file that tells all processes of a multirun that there was one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import FrameType
from typing import Any

from envcli.errors import EnvcliError
from envcli.folders.folder_lock import locked

__all__ = [
    "SAVE_IN",
    "Handler",
    "Insistent",
    "again_soon",
    "call_off",
    "call_on",
    "heard_by",
    "not_lost",
    "require_not_called_off",
    "stack",
    "unless_called_off",
]

Handler = Callable[[int, "FrameType | None"], Any]  # Any: nobody looks at what it returns

SAVE_IN = 30.0
"""Seconds that jobs have to save what they made after an interrupt."""

_CALLED_OFF = ".interrupted"
_SOON = 0.05  # seconds


class Insistent:
    """Raises a KeyboardInterrupt for a signal ``number``, and raises it again if it was lost.

    Code in C that calls back into Python loses it, a finalizer can only print it, and a library may catch all that is
    raised. Whoever does so lets go of it, while one on its way to the end of the process is held by what it unwinds.
    During an import that it would break, the signal waits: see :func:`_breaks`.

    Attributes:
        again: whether the next signal is the last one once more.
        over: whether it no longer matters that one is lost.
    """

    def __init__(self, number: int) -> None:
        self.again, self.over = False, False
        self._number = number

    def interrupt(self, frame: FrameType | None) -> None:
        """Raise it in ``frame``, where the signal arrived."""
        self.again = False
        if not _breaks(frame):
            raise _Interrupt(self._lost)
        self._lost()

    def _lost(self) -> None:
        if not self.over:
            self.again = True
            again_soon(self._number, lambda: not self.over)


class _Interrupt(KeyboardInterrupt):
    """Calls ``gone`` when nobody holds it any longer."""

    def __init__(self, gone: Callable[[], None]) -> None:
        super().__init__()
        self._gone = gone

    def __del__(self) -> None:
        self._gone()

    def __reduce__(self) -> tuple[type[KeyboardInterrupt], tuple[object, ...]]:
        return KeyboardInterrupt, self.args  # what joblib passes on to the process that launched a job


@contextlib.contextmanager
def heard_by(handler: Callable[[Handler], Handler]) -> Iterator[bool]:
    """Inside, a Ctrl-C goes to what ``handler`` returns for the usual handler, and its KeyboardInterrupt is not lost.

    Yields whether it does: signals arrive in the main thread only. One that is raised again, see :class:`Insistent`,
    goes to the usual handler.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield False
        return
    insistent = Insistent(signal.SIGINT)

    def usual(number: int, frame: FrameType | None) -> None:
        if before is signal.default_int_handler:
            insistent.interrupt(frame)
        else:
            before(number, frame)

    heed = handler(usual)
    signal.signal(signal.SIGINT, lambda number, frame: (usual if insistent.again else heed)(number, frame))
    try:
        with _unprinted():
            yield True
    finally:
        insistent.over = True
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _unprinted() -> Iterator[None]:
    """Inside, an interrupt in a finalizer is not printed: it is raised again."""
    usual = sys.unraisablehook

    def printed(args: sys.UnraisableHookArgs) -> None:
        if not issubclass(args.exc_type, _Interrupt):
            usual(args)

    sys.unraisablehook = printed
    try:
        yield
    finally:
        sys.unraisablehook = usual


@contextlib.contextmanager
def not_lost() -> Iterator[Callable[[], bool]]:
    """Inside, the KeyboardInterrupt of a Ctrl-C is not lost.

    Yields a function: was there one? What it interrupts may raise something else.
    """
    heard = False

    def handler(usual: Handler) -> Handler:
        def heed(number: int, frame: FrameType | None) -> None:
            nonlocal heard
            heard = True
            usual(number, frame)

        return heed

    with heard_by(handler):
        yield lambda: heard


def _breaks(frame: FrameType | None) -> bool:
    """Whether a KeyboardInterrupt in ``frame`` would break an import.

    Modules in C lose it, or crash. torch.distributed leaves a thread behind that ends the process with an abort.
    """
    return any(
        isinstance(one.f_locals.get("self"), ExtensionFileLoader)
        or (one.f_code.co_name == "<module>" and one.f_globals.get("__name__", "").startswith("torch.distributed"))
        for one in stack(frame)
    )


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """``frame``, and those that it was called from."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def again_soon(number: int = signal.SIGINT, still: Callable[[], bool] = lambda: True) -> None:
    """Have the signal ``number`` arrive once more, in a moment, if it is to ``still``."""

    def send() -> None:
        if still():
            os.kill(os.getpid(), number)

    timer = threading.Timer(_SOON, send)
    timer.daemon = True
    timer.start()


def call_off(folder: Path) -> None:
    """Note in ``folder``, if it exists, that its multirun was interrupted. After this, no job of it begins."""
    if folder.is_dir():
        with locked(folder):
            (folder / _CALLED_OFF).touch()


def call_on(folder: Path) -> None:
    """Take back :func:`call_off`, before the multirun in ``folder`` goes on."""
    (folder / _CALLED_OFF).unlink(missing_ok=True)


def require_not_called_off(folder: Path) -> None:
    """Raise EnvcliError if the multirun in ``folder`` was interrupted; its launcher may start jobs all the same."""
    if (folder / _CALLED_OFF).exists():
        raise EnvcliError("the sweep was interrupted")


@contextlib.contextmanager
def unless_called_off(folder: Path) -> Iterator[None]:
    """Inside, a job of the multirun in ``folder`` begins: :func:`call_off` waits until it has a status.

    So whoever calls off the multirun and then looks for jobs with a status finds all.

    Raises:
        EnvcliError: the multirun was interrupted.
    """
    with locked(folder, shared=True):
        require_not_called_off(folder)
        yield

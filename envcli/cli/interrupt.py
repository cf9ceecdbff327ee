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


@contextlib.contextmanager
def heard_by(handler: Callable[[Handler], Handler]) -> Iterator[bool]:
    """Inside, a Ctrl-C goes to what ``handler`` returns for the usual handler.

    Yields whether it does: signals arrive in the main thread only. A KeyboardInterrupt that is raised where Python can
    only print it, as in a finalizer, is not lost: it is raised again soon after, by the usual handler.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield False
        return
    unraisable = sys.unraisablehook

    def lost(args: sys.UnraisableHookArgs) -> None:
        if args.exc_type is KeyboardInterrupt:
            signal.signal(signal.SIGINT, usual)
            again_soon()
        else:
            unraisable(args)

    signal.signal(signal.SIGINT, handler(usual))
    sys.unraisablehook = lost
    try:
        yield True
    finally:
        sys.unraisablehook = unraisable
        signal.signal(signal.SIGINT, usual)


@contextlib.contextmanager
def not_lost() -> Iterator[Callable[[], bool]]:
    """Inside, a Ctrl-C that arrives while a module in C is loaded waits until it is: such modules lose it, or crash.

    Yields a function: was there one? What it interrupts may raise something else.
    """
    heard = False

    def handler(usual: Handler) -> Handler:
        def heed(number: int, frame: FrameType | None) -> None:
            nonlocal heard
            if _loads_extension(frame):
                again_soon()
            else:
                heard = True
                usual(number, frame)

        return heed

    with heard_by(handler):
        yield lambda: heard


def _loads_extension(frame: FrameType | None) -> bool:
    return any(isinstance(one.f_locals.get("self"), ExtensionFileLoader) for one in stack(frame))


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """``frame``, and those that it was called from."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def again_soon() -> None:
    """Have SIGINT arrive once more, in a moment."""
    timer = threading.Timer(_SOON, os.kill, (os.getpid(), signal.SIGINT))
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

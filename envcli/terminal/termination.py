"""SIGTERM and SIGHUP as an exception, so that what is half done is cleared away."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["Terminated", "cleared"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_AGAIN = 0.05  # seconds


class Terminated(KeyboardInterrupt):
    """Somebody else than the keyboard ends this process. ``code``: what it exits with, 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.code = 128 + number


@contextlib.contextmanager
def cleared(clear: Callable[[], None]) -> Iterator[None]:
    """Calls ``clear`` at the end, whatever ends it; one of these signals raises :class:`Terminated`, and waits for it.

    The exception is raised again and again until somebody hears it: in the callback of a weak reference, of which h5py
    has many, Python prints an exception and goes on.

    A signal that somebody listens to, or ignores, as under ``nohup``, is left alone; so are all of them outside of the
    main thread, where none arrives.
    """
    here = threading.current_thread() is threading.main_thread()
    taken = [one for one in _SIGNALS if here and signal.getsignal(one) == signal.SIG_DFL]
    usual, heard, clearing = sys.unraisablehook, list[int](), False

    def end(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        if clearing:
            return
        again = threading.Timer(_AGAIN, _thread.interrupt_main, (number,))
        again.daemon = True
        again.start()
        raise Terminated(heard[0])

    def swallowed(told: sys.UnraisableHookArgs) -> None:
        if not isinstance(told.exc_value, Terminated):
            usual(told)

    try:
        try:
            if taken:
                sys.unraisablehook = swallowed
            for one in taken:
                signal.signal(one, end)
            yield
        finally:
            clearing = True  # may be interrupted itself
    finally:
        clearing = True
        try:
            clear()
        finally:
            for one in taken:
                signal.signal(one, signal.SIG_IGN if heard else signal.SIG_DFL)  # it ends already
            sys.unraisablehook = usual
        if heard:
            raise Terminated(heard[0])

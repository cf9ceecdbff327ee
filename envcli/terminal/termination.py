"""Cleaning up unfinished work, also if SIGTERM or SIGHUP ends the process."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["cleared"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def cleared(clear: Callable[[], None]) -> Iterator[None]:
    """Call ``clear`` at the end, whatever ends it. SIGTERM and SIGHUP still end the process, but after ``clear``.

    A signal that already has a handler, or is ignored, as under ``nohup``, is left alone; so are both outside of the
    main thread, where signals do not arrive.
    """
    here = threading.current_thread() is threading.main_thread()
    taken = [one for one in _SIGNALS if here and signal.getsignal(one) == signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        try:
            clear()
        finally:  # no exception, which Python would swallow in a C callback such as h5py's
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    try:
        for one in taken:
            signal.signal(one, end)
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)
        clear()

"""What is half done is cleared away, also where SIGTERM or SIGHUP end the process."""

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
    """Calls ``clear`` at the end, whatever ends it; one of these signals ends the process as ever, but after ``clear``.

    A signal that somebody listens to, or ignores, as under ``nohup``, is left alone; so are all of them outside of the
    main thread, where none arrives.
    """
    here = threading.current_thread() is threading.main_thread()
    taken = [one for one in _SIGNALS if here and signal.getsignal(one) == signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        try:
            clear()
        finally:  # not an exception: in a callback of C, of which h5py has many, Python would swallow it
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

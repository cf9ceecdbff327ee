"""What a Ctrl-C must not cut in half, and what must be quick while one is on its way."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["is_leaving", "undisturbed"]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """A Ctrl-C waits until the end of the block, which must be short.

    By exchanging Python's handler: blocking the signal in this thread is not enough, as the kernel then gives it to
    another thread, and Python runs the handler in the main thread all the same.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    caught: list[Any] = []
    signal.signal(signal.SIGINT, lambda *what: caught.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if caught:
            usual(*caught[0])


def is_leaving() -> bool:
    """Is a Ctrl-C, or an exit, on its way through the program? Then nobody waits for a farewell."""
    return isinstance(sys.exc_info()[1], KeyboardInterrupt | SystemExit)

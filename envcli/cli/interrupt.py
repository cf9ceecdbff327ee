"""A Ctrl-C, and the file that tells all processes of a multirun that there was one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["Handler", "call_off", "heard_by", "is_called_off"]

Handler = Callable[[int, "FrameType | None"], Any]  # Any: nobody looks at what it returns

_CALLED_OFF = ".interrupted"


@contextlib.contextmanager
def heard_by(handler: Callable[[Handler], Handler]) -> Iterator[bool]:
    """Inside, a Ctrl-C goes to what ``handler`` returns for the usual handler.

    Yields whether it does: signals arrive in the main thread only.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield False
        return
    signal.signal(signal.SIGINT, handler(usual))
    try:
        yield True
    finally:
        signal.signal(signal.SIGINT, usual)


def call_off(folder: Path) -> None:
    """Note in ``folder``, if it exists, that its multirun was interrupted."""
    if folder.is_dir():
        (folder / _CALLED_OFF).touch()


def is_called_off(folder: Path) -> bool:
    """Whether the multirun in ``folder`` was interrupted; its launcher may start more jobs all the same."""
    return (folder / _CALLED_OFF).exists()

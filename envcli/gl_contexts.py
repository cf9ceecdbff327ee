"""When OpenGL contexts end: before the display that they draw on, also where nobody closes them, and not in a frame."""

from __future__ import annotations

import atexit
import gc
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ending_in_time", "kept_current"]

_ends: list[weakref.finalize[..., Any]] = []


def ending_in_time(owner: Any, free: Callable[..., object], *given: Any) -> weakref.finalize[..., Any]:
    """Have ``free(*given)`` called once: when ``owner`` is gone, when what is returned is called, or at the exit.

    Call it when the context has been made. Libraries end their display at the exit as well, from the first context on,
    and what was registered last runs first. A context that outlives its display prints tracebacks.
    """
    end = weakref.finalize(owner, free, *given)
    end.atexit = False
    _ends[:] = [*(other for other in _ends if other.alive), end]
    atexit.unregister(_end_all)
    atexit.register(_end_all, os.getpid())
    return end


@contextmanager
def kept_current() -> Iterator[None]:
    """Inside, the context that is made current stays so: no garbage is collected, in which there may be an env.

    With EGL a thread whose contexts are freed, whichever they are, has none afterwards (``eglReleaseThread``), and
    MuJoCo draws black frames without a word.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _end_all(owner: int) -> None:
    if owner == os.getpid():  # a forked child has only copies
        for end in reversed(_ends):
            end()

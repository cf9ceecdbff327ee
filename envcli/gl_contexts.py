"""When OpenGL contexts are current, and when they end.

They end before the display that they draw on, also where nobody closes them, and not in a frame. One is current only
while it draws: MuJoCo deletes what it drew with from whatever context is current, so that an env that is let go of
later, by whomever it was made, would take the frames of another with it.
"""

from __future__ import annotations

import atexit
import functools
import gc
import os
import sys
import threading
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
    """Inside, the context that is made current stays so; afterwards that of before is current again, mostly none.

    No garbage is collected meanwhile, in which there may be an env: with EGL a thread whose contexts are freed,
    whichever they are, has none afterwards (``eglReleaseThread``), and MuJoCo draws black frames without a word.
    """
    with _no_garbage:
        put_back = _present()
        try:
            yield
        finally:
            put_back()


class _NoGarbage:
    """While any thread is inside, Python collects no garbage; afterwards as it did before the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._collects = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._collects = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._collects:
                gc.enable()


_no_garbage = _NoGarbage()


def _present() -> Callable[[], object]:
    """What makes that context current again which is so now in this thread."""
    chosen = os.environ.get("MUJOCO_GL", "" if sys.platform == "linux" else "glfw").lower()
    if chosen == "egl":
        return _present_of_egl()
    if chosen == "glfw":
        return _present_of_glfw()
    return _none_of_osmesa


def _present_of_egl() -> Callable[[], object]:
    egl: Any = sys.modules.get("OpenGL.EGL")  # Any: PyOpenGL is not annotated
    if not egl or not (before := egl.eglGetCurrentContext()):
        return _none_of_egl
    sides = (egl.eglGetCurrentSurface(side) for side in (egl.EGL_DRAW, egl.EGL_READ))
    return functools.partial(egl.eglMakeCurrent, egl.eglGetCurrentDisplay(), *sides, before)


def _none_of_egl() -> None:
    egl: Any = sys.modules.get("OpenGL.EGL")
    if egl and egl.eglGetCurrentContext():
        nowhere = egl.EGL_NO_SURFACE, egl.EGL_NO_SURFACE, egl.EGL_NO_CONTEXT
        egl.eglMakeCurrent(egl.eglGetCurrentDisplay(), *nowhere)


def _present_of_glfw() -> Callable[[], object]:
    glfw: Any = sys.modules.get("glfw")  # Any: not annotated
    if not glfw or not glfw.init():
        return lambda: None
    return functools.partial(glfw.make_context_current, glfw.get_current_context())


def _none_of_osmesa() -> None:
    """Have none current: OSMesa does not tell what it drew into."""
    osmesa: Any = sys.modules.get("OpenGL.osmesa")
    if osmesa and osmesa.OSMesaGetCurrentContext():
        osmesa.OSMesaMakeCurrent(None, None, sys.modules["OpenGL.GL"].GL_FLOAT, 0, 0)


def _end_all(owner: int) -> None:
    if owner == os.getpid():  # a forked child has only copies
        for end in reversed(_ends):
            end()

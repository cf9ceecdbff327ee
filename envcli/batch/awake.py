"""Waiting for what another process is about to write: awake for a moment, before one sleeps."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable

__all__ = ["IN_ORDER", "soon"]

IN_ORDER = platform.machine() in ("x86_64", "AMD64")
"""Where cores see each other's writes in order: what the order is, and then that there is one."""

# Seconds: to wake a process that sleeps costs 35 to 50 us where machines are virtual, and 8 elsewhere. Nobody listens
# to the bell of who was awake, and a pipe would be full some day.
_AWAKE = 2e-4 if IN_ORDER and hasattr(os, "eventfd") else 0.0


def soon(ready: Callable[[], bool]) -> bool:
    """Is it ``ready`` within a moment? Meanwhile the core is left to whoever wants it."""
    until = time.perf_counter() + _AWAKE
    while not (found := ready()) and time.perf_counter() < until:
        os.sched_yield()
    return found

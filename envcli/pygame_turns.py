"""Frames that are drawn by pygame, one at a time."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import AbstractContextManager, nullcontext

__all__ = ["pygame_turn"]

_TURN = [threading.RLock()]


def pygame_turn() -> AbstractContextManager[object]:
    """Inside, no other thread draws with pygame.

    Its polygons are filled by way of one list of points of the whole process (SDL_gfx), while other threads may run: of
    two pendulums that are drawn at once, some pixels are wrong.
    """
    return _TURN[0] if "pygame" in sys.modules else nullcontext()


def _after_fork() -> None:
    _TURN[0] = threading.RLock()  # whoever held it is not in this process


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

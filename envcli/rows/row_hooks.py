"""What a transform does to the rows that it is bound to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from envcli.memory.buffer import Array

__all__ = ["RowHooks"]


class RowHooks(NamedTuple):
    """The row hooks of one transform; None where it has nothing to do, so that nothing is called.

    Attributes:
        inverse: called with ``t`` before a step: from the user's root ``[t]`` to the simulator's.
        step: called with ``t`` after a step: from the simulator's next ``[t]`` to the user's.
        reset: called with ``t`` and ``where``, ``[*batch]`` bool or None for all, after a reset: root ``[t]``.
    """

    inverse: Callable[[int], None] | None = None
    step: Callable[[int], None] | None = None
    reset: Callable[[int, Array | None], None] | None = None

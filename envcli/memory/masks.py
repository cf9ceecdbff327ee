"""Questions about masks: arrays of bool that say of which envs something is true."""

from __future__ import annotations

import numpy as np

from envcli.memory.buffer import Array

__all__ = ["all_of", "any_of"]


def any_of(mask: Array) -> bool:
    """Is any of it true? Takes 0.2 us for few envs, and ``mask.any()`` 1 us, as long as some simulators' steps."""
    return bool(np.count_nonzero(mask))


def all_of(mask: Array) -> bool:
    """Is all of it true?"""
    return bool(np.count_nonzero(mask) == mask.size)

"""Minecart with ores that a seed decides."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

__all__ = ["SeededMines"]


class SeededMines(gymnasium.Wrapper[Any, Any, Any, Any]):
    """MO-Gymnasium's Minecart, whose mines draw from numpy's global generator, whatever seed it is given.

    Here they draw from one of their own, which begins anew with each seed: the same seed gives the same episodes,
    whatever else runs in the process.

    Args:
        env: a Minecart.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        if seed is not None:
            chance = np.random.RandomState(seed % 2**32)
            native: Any = self.unwrapped  # Any: a library without annotations
            for mine in native.mines:
                for ore in mine.distributions:
                    ore.random_state = chance
        return self.env.reset(seed=seed, options=options)

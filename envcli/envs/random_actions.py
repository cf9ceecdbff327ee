"""Random actions in the rows of a rollout."""

from __future__ import annotations

import torch

from envcli.envs.masked_draws import MaskedDraws
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.action_gate import masked
from envcli.rows.row_env import RowEnv
from envcli.specs import Categorical, OneHot

__all__ = ["RandomActions"]

_DRAW = 4096  # rows at a time: a torch call after much Python costs 0.1 ms
_DRAW_STEPS = 2**20  # but no more env steps than that: those of 4,096 envs would take hundreds of megabytes
_CACHED_STEPS = 2**18  # of those, as many are drawn at once as the processor's cache holds, a quarter faster


class RandomActions:
    """Draws the actions of ``env`` into the rows of ``buffer``, from torch's global generator.

    Attributes:
        rows_at_a_time: 4,096, and of a large batch fewer; a power of two. So the same numbers are drawn for a rollout
            in one piece and in pieces whose length is a multiple of 4,096.
        row_by_row: is there an action whose choices a mask restricts, which is known only when the row is reached?
    """

    def __init__(self, env: RowEnv, buffer: RolloutBuffer) -> None:
        self.rows_at_a_time = _rows_of(_DRAW_STEPS, env.batch_size)
        self._rows_in_cache = _rows_of(_CACHED_STEPS, env.batch_size)
        leaves, masks = env.full_action_spec.leaves(), env._roles().masks
        self._free = [(leaf, buffer[path]) for path, leaf in leaves.items() if path not in masks]
        plain = {p: leaf for p, leaf in leaves.items() if isinstance(leaf, Categorical | OneHot) and leaf.mask is None}
        self._single = [MaskedDraws(plain[path], buffer, path, mask) for path, mask in masks.items() if path in plain]
        self._masked = [(leaves[p], buffer[p], buffer[mask]) for p, mask in masks.items() if p in leaves.keys() - plain]
        self.row_by_row = bool(self._single or self._masked)

    def draw(self, start: int, stop: int) -> None:
        """Rows ``start`` to ``stop``, all but the actions that a mask restricts."""
        for leaf, actions in self._free:
            for first in range(start, stop, self._rows_in_cache):
                rows = actions[first : min(first + self._rows_in_cache, stop)]
                rows.copy_(leaf.rand(rows.shape[:1]))
        for single in self._single:
            single.draw(start, stop)

    def draw_masked(self, t: int) -> None:
        """Row ``t`` of those, among the choices that its masks allow."""
        for single in self._single:
            single.write(t)
        for leaf, actions, masks in self._masked:
            actions[t] = masked(leaf, masks[t]).rand()


def _rows_of(env_steps: int, batch_size: torch.Size) -> int:
    """A power of two, so that these rows are ``env_steps`` at most, and no more than :data:`_DRAW`."""
    return min(_DRAW, 1 << (max(env_steps // batch_size.numel(), 1).bit_length() - 1))

"""Random actions in the rows of a rollout."""

from __future__ import annotations

from envcli.envs.masked_draws import MaskedDraws
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.action_gate import masked
from envcli.rows.row_env import RowEnv
from envcli.specs import Categorical, OneHot

__all__ = ["RandomActions"]

_CACHED_STEPS = 2**18  # env steps that are drawn at once: what the processor's cache holds, a quarter faster


class RandomActions:
    """Draws the actions of ``env`` into the rows of ``buffer``, from torch's global generator.

    Attributes:
        rows_at_a_time: 4,096: the same numbers are drawn for a rollout in one piece and in pieces whose length is a
            multiple of that. A torch call after much Python costs 0.1 ms.
        row_by_row: is there an action whose choices a mask restricts, or in whose place the last one is shown until
            then? Those are drawn when the row is reached.
    """

    rows_at_a_time = 4096

    def __init__(self, env: RowEnv, buffer: RolloutBuffer) -> None:
        fitting = max(_CACHED_STEPS // env.batch_size.numel(), 1)
        self._rows_in_cache = min(self.rows_at_a_time, 1 << (fitting.bit_length() - 1))  # which it is a multiple of
        leaves, masks, shown = env.full_action_spec.leaves(), env._roles().masks, env._roles().recurrent
        free = {path: leaf for path, leaf in leaves.items() if path not in masks}
        self._free = [(leaf, buffer[path]) for path, leaf in free.items() if path not in shown]
        self._shown = [(leaf, buffer[path]) for path, leaf in free.items() if path in shown]
        plain = {p: leaf for p, leaf in leaves.items() if isinstance(leaf, Categorical | OneHot) and leaf.mask is None}
        self._single = [MaskedDraws(plain[path], buffer, path, mask) for path, mask in masks.items() if path in plain]
        self._masked = [(leaves[p], buffer[p], buffer[mask]) for p, mask in masks.items() if p in leaves.keys() - plain]
        self.row_by_row = bool(self._single or self._masked or self._shown)

    def draw(self, start: int, stop: int) -> None:
        """Rows ``start`` to ``stop``, all but the actions that :meth:`draw_masked` draws."""
        for leaf, actions in self._free:
            for first in range(start, stop, self._rows_in_cache):
                rows = actions[first : min(first + self._rows_in_cache, stop)]
                rows.copy_(leaf.rand(rows.shape[:1]))
        for single in self._single:
            single.draw(start, stop)

    def draw_masked(self, t: int) -> None:
        """Row ``t`` of the others, among the choices that its masks allow."""
        for leaf, actions in self._shown:
            actions[t] = leaf.rand()
        for single in self._single:
            single.write(t)
        for leaf, actions, masks in self._masked:
            actions[t] = masked(leaf, masks[t]).rand()

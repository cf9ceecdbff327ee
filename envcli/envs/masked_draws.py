"""Random choices among those that masks allow."""

from __future__ import annotations

import numpy as np
import torch

from envcli.keys import Key
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Categorical, OneHot

__all__ = ["MaskedDraws"]


class MaskedDraws:
    """Draws one action of a buffer, row by row, each choice that its mask allows being equally likely.

    What chance decides is drawn for many rows at once, from torch's global generator: a row costs 8 us, and 60 by a
    spec with that mask. Where a mask forbids everything, it says nothing.

    Args:
        leaf: the spec of the action, ``[*batch, ...]``, without a mask of its own.
        buffer: its rows.
        action, mask: the two entries.
    """

    def __init__(self, leaf: Categorical | OneHot, buffer: RolloutBuffer, action: Key, mask: Key) -> None:
        self._actions, self._masks = buffer.array(action), buffer.array(mask)
        self._device, self._size = leaf.device, self._masks.shape[1:-1]
        self._vectors = isinstance(leaf, OneHot)
        self._first = 0
        self._chance = np.zeros((0, *self._size))

    def draw(self, start: int, stop: int) -> None:
        """Get ready for rows ``start`` to ``stop``."""
        drawn = torch.rand(stop - start, *self._size, dtype=torch.float64, device=self._device)
        self._first, self._chance = start, drawn.numpy(force=True)

    def write(self, t: int) -> None:
        """Row ``t``, which ``draw`` has made ready."""
        ranks = self._masks[t].astype(bool, copy=False).cumsum(-1)
        allowed = ranks[..., -1:]
        if not allowed.all():
            ranks = np.where(allowed, ranks, np.arange(1, ranks.shape[-1] + 1))
            allowed = ranks[..., -1:]
        place = self._chance[t - self._first, ..., None] * allowed  # below allowed, also where it is rounded
        chosen = (ranks > np.minimum(place.astype(np.int64), allowed - 1)).argmax(-1)
        if self._vectors:
            chosen = np.arange(ranks.shape[-1]) == chosen[..., None]
        self._actions[t] = chosen

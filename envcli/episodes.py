"""Counts the episodes of a rollout: how many ended, how long they were, what they returned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tensordict import TensorDictBase

__all__ = ["Episodes", "spans"]

_QUANTILES = 101  # every percent: enough to draw a distribution, and few whatever the number of episodes


@dataclass(frozen=True)
class Episodes:
    """Returns and lengths (in steps) of the episodes that ended, one row each, env by env in order of time.

    ``unfinished`` counts the episodes that the rollout cut off: they are in neither array. ``total`` is the sum of all
    rewards, theirs too. ``ends`` says after how many steps of its env each was over.
    """

    returns: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    unfinished: int
    total: float
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rollout: TensorDictBase) -> Episodes:
        """The episodes in a rollout of shape ``[*batch, time]``; reads only its reward and done."""
        steps = rollout.shape[-1]
        done = rollout.get(("next", "done")).reshape(-1, steps).cpu().numpy()
        # float64: a million float32 rewards summed in float32 lose the third digit.
        reward = rollout.get(("next", "reward")).reshape(-1, steps).cpu().numpy().astype(np.float64)
        if done.size == 0:
            return cls(np.zeros(0), np.zeros(0, np.int64), 0, 0.0, np.zeros(0, np.int64))
        first, last, ended = spans(done)
        returns = np.add.reduceat(reward.reshape(-1), first)
        lengths, ends = (last - first + 1)[ended], (last % steps + 1)[ended]
        return cls(returns[ended], lengths, int((~ended).sum()), float(reward.sum()), ends)

    def in_order(self) -> Iterator[tuple[int, float, int]]:
        """Of each episode, as they ended: after how many steps of its env, its return, its length."""
        for i in np.argsort(self.ends, kind="stable"):
            yield int(self.ends[i]), float(self.returns[i]), int(self.lengths[i])

    def metrics(self) -> dict[str, Any]:
        """Counts, and mean, min, max and quantiles of return and length; None where no episode ended.

        The quantiles are values that were seen, in order, at even distances from the least to the largest: up to 101
        episodes all of them.
        """
        found: dict[str, Any] = {"episodes": len(self.returns), "unfinished_episodes": self.unfinished}
        found["reward_sum"] = self.total
        for name, values in (("return", self.returns), ("length", self.lengths)):
            for kind in ("mean", "min", "max"):
                found[f"{name}_{kind}"] = getattr(values, kind)().item() if len(values) else None
            ranks = np.linspace(0, max(len(values) - 1, 0), min(len(values), _QUANTILES)).round().astype(int)
            found[f"{name}_quantiles"] = np.sort(values)[ranks].tolist()
        return found


def spans(
    done: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where the episodes in ``done``, ``[envs, steps]``, lie once it is flattened: first step, last step, and whether
    it ended there. An episode is cut at the end of its env's row.
    """
    starts = np.zeros_like(done)
    starts[:, 0] = True
    starts[:, 1:] = done[:, :-1]
    first = np.flatnonzero(starts)
    last = np.append(first[1:], done.size) - 1
    return first, last, done.reshape(-1)[last]

"""Counts the episodes of a rollout that comes in pieces, and keeps none of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from tensordict import TensorDictBase

from envcli.episodes import spans

__all__ = ["EpisodeTally"]

_WINDOW = 2**16  # steps looked at at a time, so that a large piece needs no memory of its size


class EpisodeTally:
    """The numbers of :class:`~envcli.episodes.Episodes`, from pieces of a rollout in order of time."""

    def __init__(self) -> None:
        self._returns = _Spread()
        self._lengths = _Spread()
        self._total = 0.0
        self._return: npt.NDArray[np.float64] | None = None  # of each env, in the episode that is under way
        self._length: npt.NDArray[np.int64] | None = None

    def add(self, piece: TensorDictBase) -> None:
        """The next steps, ``[*batch, time]``; reads only their reward and done."""
        steps = piece.shape[-1]
        for start in range(0, steps, _WINDOW):
            window = piece[..., start : start + _WINDOW]
            count = window.shape[-1]
            done = window.get(("next", "done")).reshape(-1, count).cpu().numpy()
            reward = window.get(("next", "reward")).reshape(-1, count).cpu().numpy().astype(np.float64)
            self._add(done, reward)

    def _add(self, done: npt.NDArray[np.bool_], reward: npt.NDArray[np.float64]) -> None:
        envs, steps = done.shape
        if self._return is None or self._length is None:
            self._return, self._length = np.zeros(envs), np.zeros(envs, np.int64)
        first, last, ended = spans(done)
        returns, lengths = np.add.reduceat(reward.reshape(-1), first), last - first + 1
        heads = np.flatnonzero(first % steps == 0)  # the first span of each env goes on with what was under way
        returns[heads] += self._return
        lengths[heads] += self._length
        tails = np.append(heads[1:], len(first)) - 1
        self._return = np.where(ended[tails], 0.0, returns[tails])
        self._length = np.where(ended[tails], 0, lengths[tails])
        self._returns.add(returns[ended])
        self._lengths.add(lengths[ended])
        self._total += float(reward.sum())

    def metrics(self) -> dict[str, Any]:
        """See :meth:`envcli.episodes.Episodes.metrics`; without quantiles, for which episodes would have to be kept."""
        unfinished = 0 if self._length is None else int((self._length > 0).sum())
        found: dict[str, Any] = {"episodes": self._returns.count, "unfinished_episodes": unfinished}
        found["reward_sum"] = self._total
        for name, spread in (("return", self._returns), ("length", self._lengths)):
            found |= {f"{name}_{kind}": value for kind, value in spread.numbers().items()}
        return found


class _Spread:
    """Count, mean, smallest and largest of numbers that come a few at a time."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._low: Any = math.inf  # Any: an int or a float, as the numbers are
        self._high: Any = -math.inf

    def add(self, values: npt.NDArray[Any]) -> None:
        if len(values):
            self.count += len(values)
            self._sum += float(values.sum())
            self._low = min(self._low, values.min().item())
            self._high = max(self._high, values.max().item())

    def numbers(self) -> dict[str, Any]:
        if not self.count:
            return {"mean": None, "min": None, "max": None}
        return {"mean": self._sum / self.count, "min": self._low, "max": self._high}

"""Counts the episodes of a rollout: how many ended, how long they were, what they returned."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.keys import DONE_FAMILY, RESTARTED, Key, as_path

__all__ = ["Ended", "Episodes"]

_WINDOW = 2**16  # steps of all envs looked at at a time, so that a large piece needs no memory of its size
_KEPT = 2**14  # episodes that quantiles are of: where there are more, they are right to within a percent
_QUANTILES = 101  # every percent: enough to draw a distribution, and few whatever the number of episodes

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Ended(NamedTuple):
    """Episodes in the order in which they ended, ``[k]`` each; where several ended at once, in that of the envs."""

    steps: Counts  # of its env, after which it was over
    returns: Floats
    lengths: Counts  # in steps


class Episodes:
    """The episodes of a rollout that is added in one piece or in many. Memory stays the same, however many there are.

    An episode that a piece cuts off goes on in the next. An env is done where any flag of its done family is true, and
    a reward of several numbers counts as their sum. An episode that was cut because its env was lost with its worker
    (``restarted``, see :class:`~envcli.ParallelEnv`) is none that ended.

    Where groups of agents are paid, each group has a return of its own, the sum over its agents. So has each objective
    where the reward is several numbers.

    Args:
        objectives: whether it has.

    Attributes:
        ended: the episodes that ended in the piece that was added last; none where no reward stands at the root.
    """

    def __init__(self, objectives: bool = True) -> None:
        self.ended = _ended([])
        self._several = objectives
        self._complete = self._paid = True  # is there a flag in every piece, and a reward?
        self._steps = 0  # of each env
        self._restarted: int | None = None  # None: no flag says of any
        self._total = 0.0
        self._return: Floats | None = None  # of each env, in the episode that is under way
        self._length: Counts | None = None
        self._returns, self._lengths = _Spread(np.float64), _Spread(np.int64)
        self._sample = _Sample()
        self._groups: dict[Key, Episodes] = {}
        self._objectives: list[Episodes] = []

    def add(self, piece: TensorDictBase) -> None:
        """The next steps, ``[*batch, time]``; reads only their reward, done and restarted."""
        shape, reward = piece.shape, piece.get(("next", "reward"), None)
        ends = [flag for name in DONE_FAMILY if (flag := piece.get(("next", name), None)) is not None]
        if not ends:
            self._complete = False
            return
        flags = torch.cat([flag.reshape(*shape, -1) for flag in ends], -1)
        lost = _lost(piece)
        over = {"done": flags} | ({} if lost is None else {RESTARTED: lost})
        for group, paid in _group_rewards(piece):
            own = {"reward": paid, **over}
            self._groups.setdefault(group, Episodes(objectives=False)).add(TensorDict({"next": own}, shape))
        if reward is None:
            self._paid, reward = False, torch.zeros(shape)
        rewards = reward.reshape(*shape, -1)
        if self._several and rewards.shape[-1] > 1:
            self._objectives = self._objectives or [Episodes() for _ in range(rewards.shape[-1])]
            for objective, paid in zip(self._objectives, rewards.unbind(-1), strict=True):
                objective.add(TensorDict({"next": {"reward": paid, **over}}, shape))
        width = max(_WINDOW // max(shape[:-1].numel(), 1), 1)
        parts = [slice(start, start + width) for start in range(0, shape[-1] if shape.numel() else 0, width)]
        ended = _ended(
            [
                self._window(flags[..., part, :], rewards[..., part, :], None if lost is None else lost[..., part, :])
                for part in parts
            ]
        )
        self.ended = ended if self._paid else _ended([])

    def _window(self, flags: torch.Tensor, rewards: torch.Tensor, lost: torch.Tensor | None) -> Ended:
        steps = flags.shape[-2]
        done = _any(flags)
        numbers = (rewards.float() if rewards.dtype == torch.bfloat16 else rewards).cpu().numpy()
        # float64: a million float32 rewards summed in float32 lose the third digit. By numpy: torch wakes its threads.
        reward = numbers.astype(np.float64).sum(-1).reshape(-1, steps)
        if self._return is None or self._length is None:
            self._return, self._length = np.zeros(len(done)), np.zeros(len(done), np.int64)
        first, last, over = _spans(done)
        returns, lengths = np.add.reduceat(reward.reshape(-1), first), last - first + 1
        heads = np.flatnonzero(first % steps == 0)  # the first span of each env goes on with what was under way
        returns[heads] += self._return
        lengths[heads] += self._length
        tails = np.append(heads[1:], len(first)) - 1
        self._return = np.where(over[tails], 0.0, returns[tails])
        self._length = np.where(over[tails], 0, lengths[tails])
        if lost is not None:
            cut = over & _any(lost).reshape(-1)[last]
            self._restarted = (self._restarted or 0) + int(cut.sum())
            over &= ~cut
        ends = last[over] % steps + 1 + self._steps
        order = np.argsort(ends, kind="stable")
        ended = Ended(ends[order], returns[over][order], lengths[over][order])
        self._steps += steps
        self._total += float(reward.sum())
        self._returns.add(ended.returns)
        self._lengths.add(ended.lengths)
        self._sample.add(ended)
        return ended

    def metrics(self) -> dict[str, Any]:
        """Counts, and mean, min, max and quantiles of return and length; None where no episode ended.

        The quantiles are values that were seen, in order, at even distances from the least to the largest: up to 101
        episodes all of them. Of more than 16,384 episodes they are those of a random sample, always the same of the
        same rollout: ``quantiles_of``, which is there only then, says of how many. ``restarted_episodes``, those that
        were cut by the loss of a worker, is there where a flag tells of it.

        All are None of a rollout without flags, and what is of rewards where there is none at the root. Where groups of
        agents are paid, ``group_returns`` has mean, min, max and quantiles of each; ``objective_returns`` has those of
        each objective, where a reward is several numbers.
        """
        if not self._complete:
            return dict.fromkeys(Episodes().metrics())
        found = self._counted()
        if not self._paid:
            found |= dict.fromkeys(key for key in found if key.startswith(("return", "reward")))
        groups = {".".join(group): episodes._return_numbers() for group, episodes in self._groups.items()}
        found |= {"group_returns": groups} if groups else {}
        objectives = [episodes._return_numbers() for episodes in self._objectives]
        return found | ({"objective_returns": objectives} if objectives else {})

    def _return_numbers(self) -> dict[str, Any]:
        return {**self._returns.numbers(), "quantiles": self._returns.quantiles(self._sample.returns)}

    def _counted(self) -> dict[str, Any]:
        unfinished = 0 if self._length is None else int((self._length > 0).sum())
        found: dict[str, Any] = {"episodes": self._returns.count, "unfinished_episodes": unfinished}
        found |= {} if self._restarted is None else {"restarted_episodes": self._restarted}
        found["reward_sum"] = self._total
        sampled = len(self._sample.returns) < self._returns.count
        for name, spread, values in (
            ("return", self._returns, self._sample.returns),
            ("length", self._lengths, self._sample.lengths),
        ):
            found |= {f"{name}_{kind}": value for kind, value in spread.numbers().items()}
            found[f"{name}_quantiles"] = spread.quantiles(values)
        return found | ({"quantiles_of": len(self._sample.returns)} if sampled else {})


class _Spread:
    """Count, mean, smallest and largest of numbers that come a few at a time."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.count = 0
        self._sum = 0.0
        self._ends = np.zeros(0, dtype)

    def add(self, values: npt.NDArray[Any]) -> None:
        if len(values):
            self.count += len(values)
            self._sum += float(values.sum())
            known = np.append(self._ends, values)
            self._ends = np.array([known.min(), known.max()])

    def numbers(self) -> dict[str, Any]:
        if not self.count:
            return {"mean": None, "min": None, "max": None}
        return {"mean": self._sum / self.count, "min": self._ends[0].item(), "max": self._ends[1].item()}

    def quantiles(self, sample: npt.NDArray[Any]) -> list[Any]:
        """Those of ``sample``, which holds some of the numbers; the ends are those of all."""
        ranks = np.linspace(0, max(len(sample) - 1, 0), min(len(sample), _QUANTILES)).round().astype(int)
        values = np.sort(sample)[ranks]
        if len(sample) < self.count:
            values[[0, -1]] = self._ends
        found: list[Any] = values.tolist()
        return found


class _Sample:
    """Some of the episodes, all while they are few: each is as likely to be among them as any other."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)
        self._lots, self.returns, self.lengths = np.zeros(0), np.zeros(0), np.zeros(0, np.int64)

    def add(self, ended: Ended) -> None:
        """The lots are drawn in the order in which episodes end, so it does not matter how a rollout is cut."""
        lots = np.append(self._lots, self._generator.random(len(ended.steps)))
        kept = np.argpartition(lots, _KEPT)[:_KEPT] if len(lots) > _KEPT else slice(None)
        self._lots = lots[kept]
        self.returns = np.append(self.returns, ended.returns)[kept]
        self.lengths = np.append(self.lengths, ended.lengths)[kept]


def _lost(piece: TensorDictBase) -> torch.Tensor | None:
    """The flags ``[*batch, time, flags]`` of envs that were lost with their workers, at whatever depth."""
    found: list[torch.Tensor] = [
        piece.get(("next", *as_path(key)))
        for key in piece.get("next").keys(include_nested=True, leaves_only=True)
        if as_path(key)[-1] == RESTARTED
    ]
    return torch.cat([flag.reshape(*piece.shape, -1) for flag in found], -1) if found else None


def _group_rewards(piece: TensorDictBase) -> list[tuple[Key, torch.Tensor]]:
    """The rewards ``[*batch, time, *value]`` that stand in groups, and where."""
    paths = map(as_path, piece.get("next").keys(include_nested=True, leaves_only=True))
    return [(path[:-1], piece.get(("next", *path))) for path in paths if len(path) > 1 and path[-1] == "reward"]


def _any(flags: torch.Tensor) -> npt.NDArray[np.bool_]:
    """``[envs, steps]``: is any flag of ``[*batch, steps, flags]`` up?"""
    found: npt.NDArray[np.bool_] = np.any(flags.cpu().numpy(), axis=-1)
    return found.reshape(-1, flags.shape[-2])


def _ended(parts: list[Ended]) -> Ended:
    """One after the other."""
    steps, returns, lengths = zip(*parts, strict=True) if parts else ((), (), ())
    return Ended(
        np.concatenate([np.zeros(0, np.int64), *steps]),
        np.concatenate([np.zeros(0), *returns]),
        np.concatenate([np.zeros(0, np.int64), *lengths]),
    )


def _spans(done: npt.NDArray[np.bool_]) -> tuple[Counts, Counts, npt.NDArray[np.bool_]]:
    """Where the episodes in ``done``, ``[envs, steps]``, lie once it is flattened: first step, last step, and whether
    it ended there. An episode is cut at the end of its env's row.
    """
    starts = np.zeros_like(done)
    starts[:, 0] = True
    starts[:, 1:] = done[:, :-1]
    first = np.flatnonzero(starts)
    last = np.append(first[1:], done.size) - 1
    return first, last, done.reshape(-1)[last]

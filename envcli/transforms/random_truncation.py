"""Ends episodes at random, so that the envs of a batch do not begin together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Categorical, Composite
from envcli.transforms.drawing import Drawing

__all__ = ["RandomTruncationTransform"]


class RandomTruncationTransform(Drawing):
    """Truncates each episode at a number of steps of its own, its horizon: envs that began together drift apart.

    The first episode of each env ends after 1 to ``max_horizon`` steps, each as likely as the others, both included. A
    later one ends after ``max_horizon``, or, with probability ``prob``, after ``min_horizon`` to ``max_horizon``. An
    episode that ends by itself before its horizon ends there.

    It reads the count of a :class:`~envcli.StepCounter` that stands before it. The flags are written beside that. The
    agents of an env begin together and so have one horizon. (TorchRL: each its own.)

    All draws follow from the seed of the env: see :class:`~envcli.transforms.drawing.Drawing`. After a seed each env
    begins with a first episode again, and inside the envs of a batch each draws by its own seed, however many workers
    there are. (TorchRL draws from the global generator, and draws no new horizon at a reset of all envs, with which
    every rollout begins.)

    Args:
        min_horizon: the least number of steps of a later episode that is truncated at random.
        max_horizon: the most steps that an episode has. Mostly the limit of the env itself.
        prob: how often a later episode is truncated at random. A low value, as 0.01, does; 0: only the first one is.
        first_episode_prob: ``prob`` for the second episode of each env, the one after the first spread; None: ``prob``.
        step_count_key: the count. A string is also found as the last part of a nested key; a tuple is exact.
        truncated_key: the flag that says so, a string beside the count, a tuple exact. It is added to the done family
            if it is not there.
        done_key: the flag that is set along with it, named likewise.

    Raises:
        ConfigError: a probability outside [0, 1], a horizon below 1, or ``min_horizon`` above ``max_horizon``.
        TransformError: in an env: no such count, or no such ``done_key``. On a rollout: always, as its episodes have
            their ends.
    """

    def __init__(
        self,
        min_horizon: int,
        max_horizon: int,
        prob: float = 0.0,
        first_episode_prob: float | None = None,
        *,
        step_count_key: NestedKey = "step_count",
        truncated_key: NestedKey = "truncated",
        done_key: NestedKey = "done",
    ) -> None:
        super().__init__()
        self.min_horizon, self.max_horizon, self.prob = min_horizon, max_horizon, prob
        self.first_episode_prob = prob if first_episode_prob is None else first_episode_prob
        for name in ("prob", "first_episode_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected a probability, within [0, 1], found {getattr(self, name)}")
        if not 1 <= min_horizon <= max_horizon:
            raise ConfigError(
                f"min_horizon: expected 1 <= min_horizon <= max_horizon, found min_horizon={min_horizon} "
                f"max_horizon={max_horizon}"
            )
        self.step_count_key: NestedKey = step_count_key
        self.truncated_key: NestedKey = truncated_key
        self.done_key: NestedKey = done_key
        self._count = as_path(step_count_key)
        self._flags = [as_path(truncated_key), as_path(done_key)]
        self._horizons: Array = np.zeros(0, dtype=np.int64)  # ``[*batch, 1, ...]``, as many dimensions as the count has
        self._episodes: Array = self._horizons  # as many as were begun, 2 for all that are not the first

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        shown, given = list(before.observation_spec.leaves()), as_path(self.step_count_key)
        found = [path for path in shown if path == given] or [path for path in shown if path[-1:] == given]
        if not found:
            raise TransformError(
                f"RandomTruncationTransform: no step count {self.step_count_key!r}. Put StepCounter() before it, in "
                "YAML transforms=[step_counter,random_truncation], and name its step_count_key here if it has another"
            )
        self._count = found[0]
        self._flags = [
            path if len(path) > 1 else (*self._count[:-1], *path)
            for path in (as_path(self.truncated_key), as_path(self.done_key))
        ]
        flags, shape = before.full_done_spec.leaves(), before.observation_spec.leaves()[self._count].shape
        if self._flags[1] not in flags:
            raise TransformError(
                f"RandomTruncationTransform: no flag {as_user_key(self._flags[1])!r}, so no episode would end. "
                f"The env has {[as_user_key(path) for path in flags]}: name one of them in done_key"
            )
        for path in self._flags:
            if path in flags and flags[path].shape != shape:
                raise TransformError(
                    f"RandomTruncationTransform: the flag {as_user_key(path)!r} is {list(flags[path].shape)}, and the "
                    f"count {as_user_key(self._count)!r} {list(shape)}. Name a matching pair"
                )

    def transform_done_spec(self, done_spec: Composite) -> Composite:
        """With the flag."""
        leaves = done_spec.leaves()
        if self._flags[0] not in leaves:
            shape = leaves[self._flags[1]].shape
            done_spec[as_user_key(self._flags[0])] = Categorical(
                2, shape=shape, dtype=torch.bool, device=done_spec.device
            )
        return done_spec

    # -- horizons -------------------------------------------------------------------------------------------------

    def _set_seed(self, seed: int | None) -> None:
        super()._set_seed(seed)
        if seed is not None:
            self._episodes = np.zeros_like(self._episodes)

    def _draw(self, shape: tuple[int, ...], where: Array | None) -> None:
        """Horizons ``shape`` of the episodes that begin ``where``, ``[*batch]`` bool; None: everywhere."""
        self._make_room(shape)
        mask: Any = ... if where is None else where
        before = self._episodes[mask]
        uniform = torch.rand(before.shape, generator=self._generator).numpy()
        cut = uniform < np.where(before == 1, self.first_episode_prob, self.prob)
        first, later = self._between(1, before.shape), self._between(self.min_horizon, before.shape)
        self._horizons[mask] = np.where(before == 0, first, np.where(cut, later, self.max_horizon))
        self._episodes[mask] = np.minimum(before + 1, 2)

    def _make_room(self, shape: tuple[int, ...]) -> None:
        """Horizons ``shape``: where no reset was seen yet, the most that there are."""
        if self._horizons.shape != shape:
            self._horizons = np.full(shape, self.max_horizon, dtype=np.int64)
            self._episodes = np.zeros(shape, dtype=np.int64)

    def _between(self, low: int, shape: tuple[int, ...]) -> Array:
        drawn: Array = torch.randint(low, self.max_horizon + 1, shape, generator=self._generator).numpy()
        return drawn

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        count, raised = under_next(self._count), list(map(under_next, self._flags))
        self._counts, self._raised = outer.array(count), [outer.array(path) for path in raised]
        self._shape = _one_each(outer.batch_size, self._counts.ndim - 1)
        self._make_room(self._shape)
        self._single = not outer.batch_size and self._counts.shape[1:] in ((), (1,))
        if self._single:
            self._number, self._raised_one = outer.flags(count), [outer.flags(path) for path in raised]

    def _step_row(self, t: int) -> None:
        if self._single:
            if self._number[t] >= self._horizons.item():
                for flag in self._raised_one:
                    flag[t] = True
            return
        over = self._counts[t] >= self._horizons
        for flags in self._raised:
            flags[t] |= over

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._draw(self._shape, where)

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        counts = next_tensordict.get(self._count, None)
        if counts is None:
            raise TransformError(f"RandomTruncationTransform: this step has no {as_user_key(self._count)!r}")
        if self._horizons.shape == _one_each(tensordict.batch_size, counts.ndim):
            over = counts >= torch.from_numpy(self._horizons).to(counts.device)
            for path in self._flags:
                given = next_tensordict.get(path, None)
                next_tensordict.set(path, over if given is None else given | over)
        return next_tensordict

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        counts, batch = tensordict_reset.get(self._count), tensordict_reset.batch_size
        where = None if tensordict is None else tensordict.get("_reset", None)
        self._draw(_one_each(batch, counts.ndim), None if where is None else where.reshape(batch).cpu().numpy())
        if tensordict_reset.get(self._flags[0], None) is None:
            tensordict_reset.set(self._flags[0], torch.zeros_like(counts, dtype=torch.bool))
        return tensordict_reset

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Refused: see the class."""
        raise TransformError("RandomTruncationTransform ends the episodes of an env: add it to one")

    def extra_repr(self) -> str:
        """What was given, for ``repr``."""
        return f"min_horizon={self.min_horizon}, max_horizon={self.max_horizon}, prob={self.prob}"


def _one_each(batch: torch.Size, ndim: int) -> tuple[int, ...]:
    """``[*batch, 1, ...]``."""
    return (*batch, *[1] * (ndim - len(batch)))

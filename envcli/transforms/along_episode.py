"""Transforms that carry one value for each reward along an episode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, NestedKey, as_keys, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer, as_numbers
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.transforms.episode_starts import begun, done_before
from envcli.transforms.overriding import is_written_for
from envcli.transforms.transform import Transform
from envcli.transforms.windows import time_axis

__all__ = ["AlongEpisode"]


class AlongEpisode(Transform, ABC):
    """A value that begins anew with each episode, and that each reward moves on.

    It is an observation of the shape of the reward and of its dtype, where that is one of floats (``_dtype`` says what
    else), and state: a step goes on from what the root says. A subclass says where it begins, and writes
    ``_following``.

    On a finished rollout (``transform(rollout)``) it gives what the env would have given: it begins with what the
    root's first row says of it, or else anew, and again after each row that is done.

    Args:
        start: its value after a reset.
        in_keys: which rewards; None: all that the env has, ``"reward"`` outside an env.
        out_keys: its names; None: the rewards', renamed by ``_name``.

    Raises:
        TransformError: ``in_keys`` and ``out_keys`` are not equally many, or two of ``out_keys`` are the same.
    """

    def __init__(self, start: float, in_keys: Sequence[NestedKey] | None, out_keys: Sequence[NestedKey] | None) -> None:
        self._finds, self._names = in_keys is None, out_keys
        super().__init__(["reward"] if in_keys is None else in_keys)
        self._start = start
        self._lead = 0  # dimensions of the env's batch
        self._leaves: dict[NestedKey, TensorSpec] = {}
        self._pair()

    @abstractmethod
    def _following(self, before: Any, reward: Any) -> Any:  # Any: floats, arrays and tensors alike
        """The value after ``reward``, where it was ``before``."""

    def _rule(self) -> Callable[[Any, Any], Any]:
        """``_following``, or, for tensors only, the ``_apply_transform(reward, before)`` that a subclass wrote."""
        if is_written_for(type(self), "_following", "_apply_transform"):
            return self._following
        change: Any = self._apply_transform  # Any: TorchRL's of two arguments
        return lambda before, reward: change(reward, before)

    @abstractmethod
    def _name(self, reward: str) -> str:
        """What it is called beside a reward of this name."""

    def _dtype(self, of_reward: torch.dtype) -> torch.dtype:
        """What it is kept in: 128 rewards of int8 are more than int8 holds."""
        return of_reward if of_reward.is_floating_point else torch.int64

    def _pair(self) -> None:
        named = [(*path[:-1], self._name(path[-1])) for path in map(as_path, self.in_keys)]
        own = [as_user_key(path) for path in named] if self._names is None else as_keys(self._names)
        self._take_keys(out_keys=own)
        if len(self.in_keys) != len(self.out_keys) or len(set(self.out_keys)) != len(self.out_keys):
            raise TransformError(
                f"{type(self).__name__}: expected one distinct name for each of in_keys {self.in_keys}, "
                f"found out_keys {self.out_keys}"
            )

    # -- specs ----------------------------------------------------------------------------------------------------

    def _keys_given(self, name: str) -> None:
        if name == "in_keys":
            self._finds = False
        elif name == "out_keys":
            self._names = list(self.out_keys)

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With the values beside the observations."""
        rewards, self._lead = output_spec["full_reward_spec"].leaves(), output_spec.ndim
        if self._finds:
            self._take_keys(in_keys=[as_user_key(path) for path in rewards])
        self._pair()
        self._leaves = {
            key: Unbounded(leaf.shape, device=leaf.device, dtype=self._dtype(leaf.dtype))
            for in_key, key in zip(self.in_keys, self.out_keys, strict=True)
            if (leaf := rewards.get(as_path(in_key))) is not None
        }
        family = "full_reward_spec" if self._is_reward() else "full_observation_spec"
        output_spec[family] = self._with_values(output_spec[family])
        return output_spec

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """With the values: a step reads them, so that a TensorDict can be taken up where it was left."""
        return self._with_values(state_spec)

    def _is_reward(self) -> bool:
        """Are the values announced as rewards?"""
        return False

    def _with_values(self, spec: Composite) -> Composite:
        for key, leaf in self._leaves.items():
            spec[key] = leaf
        return spec

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        pairs = [(under_next(as_path(i)), as_path(o)) for i, o in zip(self.in_keys, self.out_keys, strict=True)]
        self._steps = [self._step_of(inner[reward], outer[own], outer[under_next(own)]) for reward, own in pairs]
        self._roots = [outer[own] for _, own in pairs]

    def _step_of(self, reward: torch.Tensor, root: torch.Tensor, following: torch.Tensor) -> Callable[[int], None]:
        rows = (reward, root, following)
        move = self._rule()
        own = move == self._following
        moved: Sequence[Any] = [as_numbers(row) for row in rows]  # Any: views of floats, arrays or tensors
        if None in moved or not own:
            moved = rows
        if own and moved is rows and torch.bfloat16 not in {row.dtype for row in rows}:  # numpy has no such type
            moved = [row.numpy() for row in rows]
        rewards, before, after = moved

        def step(t: int) -> None:
            after[t] = move(before[t], rewards[t])

        return step

    def _step_row(self, t: int) -> None:
        for step in self._steps:
            step(t)

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else torch.from_numpy(where)
        for root in self._roots:
            root[t][mask] = self._start

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        for in_key, own in zip(self.in_keys, map(as_path, self.out_keys), strict=True):
            reward, before = next_tensordict.get(in_key, None), tensordict.get(own, None)
            if before is None and reward is not None:
                before = torch.full_like(reward, self._start, dtype=self._dtype(reward.dtype))
            if before is not None:
                next_tensordict.set(own, before)
        return self._call(next_tensordict) if self._steps_by_call else AlongEpisode._call(self, next_tensordict)

    _steps_by_call = False
    """Does a step call ``_call`` where a subclass has written that anew? As TorchRL's class of the name does."""

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        """The values, which are those before the step, moved on."""
        rule = self._rule()
        for in_key, own in zip(self.in_keys, map(as_path, self.out_keys), strict=True):
            reward, before = next_tensordict.get(in_key, None), next_tensordict.get(own, None)
            if reward is None or before is None:
                raise TransformError(
                    f"{type(self).__name__}: expected the reward {in_key!r} in the TensorDict, found none"
                )
            next_tensordict.set(own, rule(before, reward))
        return next_tensordict

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        batch, device = tensordict_reset.batch_size, tensordict_reset.device
        for key in self.out_keys:
            leaf = self._leaves.get(key)
            shape, dtype = ((1,), None) if leaf is None else (leaf.shape[self._lead :], leaf.dtype)
            start = torch.full((*batch, *shape), self._start, dtype=dtype, device=device)
            given = None if tensordict is None else tensordict.get(key, None)
            tensordict_reset.set(key, begun(tensordict, given, start))
        return tensordict_reset

    # -- a finished rollout ---------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The values of a rollout ``[*batch, time]``, in place, at the root and under ``"next"``.

        Where ``in_keys`` name the rewards as ``("next", "reward")``, as TorchRL has it for finished data, the values
        after each step are written to ``out_keys``, and those before it nowhere.

        Raises TransformError where there is no time, or no reward or done under ``"next"``.
        """
        time = time_axis(tensordict, type(self).__name__)
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            path, own = as_path(in_key), as_path(out_key)
            if path[0] == "next":
                _, following = self._along(tensordict, time, path, own[1:] if own[0] == "next" else own)
                tensordict.set(own, following)
            else:
                root, following = self._along(tensordict, time, under_next(path), own)
                tensordict.set(own, root)
                tensordict.set(under_next(own), following)
        return tensordict

    def _along(
        self, tensordict: TensorDictBase, time: int, reward_path: Key, own: Key
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The value before each step and the one after it, ``[*batch, time, *value]``."""
        rewards = tensordict.get(reward_path, None)
        if rewards is None:
            raise TransformError(f"{type(self).__name__}: expected {reward_path} in the rollout, found none")
        begins = done_before(tensordict, time, reward_path[1:-1], type(self).__name__).movedim(time, 0)
        rewards = rewards.movedim(time, 0)
        begins = begins.reshape(*begins.shape, *[1] * (rewards.ndim - begins.ndim))
        given = tensordict.get(own, None)
        start = torch.full_like(rewards[0], self._start, dtype=self._dtype(rewards.dtype))
        value = start if given is None else given.movedim(time, 0)[0]
        root, following, rule = [], [], self._rule()
        for reward, begin in zip(rewards, begins, strict=True):
            value = torch.where(begin, start, value)
            root.append(value)
            value = rule(value, reward)
            following.append(value)
        return torch.stack(root, time), torch.stack(following, time)

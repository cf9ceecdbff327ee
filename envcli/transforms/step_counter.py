"""Counts the steps of each episode, and may end it."""

from __future__ import annotations

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.roles import Roles
from envcli.specs import Bounded, Categorical, Composite
from envcli.transforms.episode_starts import begun, done_before
from envcli.transforms.transform import Transform
from envcli.transforms.windows import time_axis

__all__ = ["StepCounter"]


class StepCounter(Transform):
    """``step_count``, ``[*batch, 1]`` int64: 0 after a reset, 1 after the first step.

    On a finished rollout (``transform(rollout)``; TorchRL cannot do that) it gives what the env would have given: the
    first row counts on from what the root says of it, or from 0, and each row after a ``done`` begins anew.

    Args:
        max_steps: when an episode has so many steps it is ``truncated`` (and ``done``); None: never. The flags of these
            names in groups beneath, such as those of single agents, are set as well.
        truncated_key: which flag says so. It is added to the done family if it is not there.
        step_count_key: what the count is called. As with ``truncated_key``, a string alone is that of a name beside the
            only ``done``, in whatever group that is; there are as many counts as there are such flags.
        update_done: set ``done`` along with the flag. Without it, too, the flag ends the episode. (TorchRL: a rollout
            stops there, but one that goes on does not reset.)

    Raises:
        ConfigError: ``max_steps`` is less than 1.
        TransformError: in an env: its ``done`` flags stand elsewhere than beside ``truncated_key``. On a rollout: there
            is no ``done``, or an episode is longer than ``max_steps``.
    """

    def __init__(
        self,
        max_steps: int | None = None,
        truncated_key: NestedKey = "truncated",
        step_count_key: NestedKey = "step_count",
        update_done: bool = True,
    ) -> None:
        super().__init__()
        if max_steps is not None and max_steps < 1:
            raise ConfigError(f"max_steps: expected at least 1, found {max_steps}. null counts without an end")
        self.max_steps = max_steps
        self._dones: dict[Key, torch.Size] = {}  # of the env that it is in: the group of each, and its shape
        self._env_flags: list[Key] = []
        self.truncated_key: NestedKey = truncated_key
        self.step_count_key: NestedKey = step_count_key
        self.update_done = update_done

    def _place(self, key: NestedKey) -> Key:
        """Where ``key`` stands."""
        path = as_path(key)
        return (*next(iter(self._dones)), *path) if len(path) == len(self._dones) == 1 else path

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        flags = before.full_done_spec.leaves()
        self._dones = {path[:-1]: leaf.shape for path, leaf in flags.items() if path[-1] == "done"}
        self._env_flags = list(flags)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """With the count."""
        observation_spec[self._place(self.step_count_key)] = self._count_spec(observation_spec)
        return observation_spec

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """With the count: a step reads it, so that a TensorDict can be taken up where it was left."""
        state_spec[self._place(self.step_count_key)] = self._count_spec(state_spec)
        return state_spec

    def transform_done_spec(self, done_spec: Composite) -> Composite:
        """With the flag, if ``max_steps`` asks for one."""
        flag, dones = self._place(self.truncated_key), list(self._dones)
        if self.max_steps is not None and flag not in done_spec.leaves():
            shape = self._shape_beside(flag, done_spec)
            done_spec[flag] = Categorical(2, shape=shape, dtype=torch.bool, device=done_spec.device)
        if self.max_steps is not None and self.update_done and dones and flag[:-1] not in dones:
            raise TransformError(
                f"StepCounter: there is no 'done' beside {self.truncated_key!r}, so no episode would end. The env "
                f"has {[as_user_key((*group, 'done')) for group in dones]}: put truncated_key next to one of them"
            )
        return done_spec

    def _count_spec(self, beside: Composite) -> Bounded:
        shape = self._shape_beside(self._place(self.step_count_key), beside)
        high = torch.iinfo(torch.int64).max  # whatever max_steps: envs of a batch may have different ones
        return Bounded(0, high, shape=shape, dtype=torch.int64, device=beside.device)

    def _shape_beside(self, path: Key, spec: Composite) -> torch.Size:
        """That of the ``done`` in the same group; ``[*batch, 1]`` where there is none."""
        return self._dones.get(path[:-1], torch.Size([*spec.shape, 1]))

    def _roles(self) -> Roles:
        loose = self.max_steps is not None and not self.update_done
        flags = {self._place(self.truncated_key)} if loose else set[Key]()
        return Roles(end_flags=flags, independent_ends=flags)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _rewrites(self) -> set[Key]:
        path = self._place(self.step_count_key)
        return {path, under_next(path)}

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        path, raised = self._place(self.step_count_key), map(under_next, self._flags())
        self._root, self._next = outer.array(path), outer.array(under_next(path))
        self._raised = [_parts_first(outer.array(p), self._next.ndim) for p in raised if p in outer]
        self._single = not outer.batch_size and outer[path][0].shape in ((), (1,))
        if self._single:
            self._root_count, self._next_count = outer.flags(path), outer.flags(under_next(path))

    def _step_row(self, t: int) -> None:
        if self._single:
            count = self._root_count[t] + 1
            self._next_count[t] = count
            if self.max_steps is not None and count >= self.max_steps:
                for flags in self._raised:
                    flags[t] = True
            return
        counts = self._next[t]
        np.add(self._root[t], 1, out=counts)
        if self.max_steps is not None:
            over = counts >= self.max_steps
            for flags in self._raised:
                flags[t] |= over

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._root[t][... if where is None else where] = 0

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        path = self._place(self.step_count_key)
        before = tensordict.get(path, None)
        if before is None:
            raise TransformError(f"StepCounter: a step continues from {self.step_count_key!r}, which is missing")
        next_tensordict.set(path, before + 1)
        if self.max_steps is not None:
            over = before + 1 >= self.max_steps
            for flag in self._flags():
                given = next_tensordict.get(flag, None)
                if given is not None or flag == self._place(self.truncated_key):
                    next_tensordict.set(flag, over if given is None else given | _over_parts(over, given))
        return next_tensordict

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        path, flag = self._place(self.step_count_key), self._place(self.truncated_key)
        done = tensordict_reset.get((*path[:-1], "done"), None)
        shape = torch.Size([*tensordict_reset.batch_size, 1]) if done is None else done.shape
        zero = torch.zeros(shape, dtype=torch.int64, device=tensordict_reset.device)
        given = None if tensordict is None else tensordict.get(path, None)
        tensordict_reset.set(path, begun(tensordict, given, zero))
        if self.max_steps is not None and tensordict_reset.get(flag, None) is None:
            tensordict_reset.set(flag, torch.zeros_like(zero, dtype=torch.bool))
        return tensordict_reset

    def _flags(self) -> list[Key]:
        """What is set at the limit: the flag, ``done``, and what is called so in the groups beneath, as in TorchRL."""
        flag = self._place(self.truncated_key)
        group, names = flag[:-1], (flag[-1], "done") if self.update_done else flag[-1:]
        beneath = [path for path in self._env_flags if path[: len(group)] == group and len(path) > len(flag)]
        return [*((*group, name) for name in names), *(path for path in beneath if path[-1] in names)]

    # -- a finished rollout ---------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The counts, and with ``max_steps`` the flags, of a rollout ``[*batch, time]``, in place."""
        time, path = time_axis(tensordict, type(self).__name__), self._place(self.step_count_key)
        begins = done_before(tensordict, time, path[:-1], type(self).__name__).movedim(time, -1)
        rows = torch.arange(begins.shape[-1], device=begins.device)
        first = torch.where(begins, rows, 0).cummax(-1).values
        counts = (rows - first).movedim(-1, time).unsqueeze(-1)
        done = tensordict.get(under_next((*path[:-1], "done")), counts)
        counts = counts.reshape(*counts.shape, *[1] * (done.ndim - counts.ndim)).expand_as(done).contiguous()
        given = tensordict.get(path, None)
        if given is not None:
            goes_on = (first == 0).movedim(-1, time)
            goes_on = goes_on.reshape(*goes_on.shape, *[1] * (counts.ndim - goes_on.ndim))
            counts = counts + torch.where(goes_on, given.narrow(time, 0, 1), 0)
        tensordict.set(path, counts)
        tensordict.set(under_next(path), counts + 1)
        if self.max_steps is not None:
            self._raise_flags(tensordict, counts + 1, self.max_steps)
        return tensordict

    def _raise_flags(self, tensordict: TensorDictBase, counts: torch.Tensor, max_steps: int) -> None:
        if (counts > max_steps).any():
            raise TransformError(
                f"StepCounter: an episode of this rollout has {int(counts.max())} steps, where max_steps={max_steps} "
                "would have ended it. StepCounter() counts without an end"
            )
        flag = self._place(self.truncated_key)
        over = counts == max_steps
        for path in self._flags():
            given = tensordict.get(under_next(path), None)
            if given is None and path != flag:
                continue
            raised = over if given is None else given | _over_parts(over, given)
            tensordict.set(under_next(path), raised)
            if tensordict.get(path, None) is None:
                tensordict.set(path, torch.zeros_like(raised))

    def extra_repr(self) -> str:
        """The limit and the key, for ``repr``."""
        return f"max_steps={self.max_steps}, key={as_user_key(as_path(self.step_count_key))!r}"


def _over_parts(over: torch.Tensor, flags: torch.Tensor) -> torch.Tensor:
    """``over``, ``[*lead, 1]``, with as many dimensions as ``flags`` has, ``[*lead, *part, 1]``."""
    return over.reshape(*over.shape[:-1], *[1] * (flags.ndim - over.ndim), *over.shape[-1:])


def _parts_first(flags: Array, ndim: int) -> Array:
    """A view of ``flags``, ``[time, *batch, *part, 1]``, as ``[time, *part, *batch, 1]``; ``ndim`` without ``part``."""
    parts = range(ndim - 1, flags.ndim - 1)
    return np.moveaxis(flags, list(parts), list(range(1, len(parts) + 1)))

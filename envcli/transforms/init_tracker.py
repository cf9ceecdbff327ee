"""Marks the first step of each episode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.roles import Roles
from envcli.specs import Categorical, Composite
from envcli.transforms.episode_starts import begun, done_before
from envcli.transforms.transform import Transform
from envcli.transforms.windows import time_axis

__all__ = ["InitTracker"]


class InitTracker(Transform):
    """``is_init``, ``[*batch, 1]`` bool: true at the root after a reset, false after every step.

    An env with nested flags gets one beside each ``done`` (TorchRL: where no other stands above it). On a finished
    rollout (``transform(rollout)``; TorchRL cannot do that) rows after a ``done`` are marked, and the first row, unless
    the rollout says of it otherwise.

    Args:
        init_key: what it is called.
    """

    def __init__(self, init_key: NestedKey = "is_init") -> None:
        super().__init__()
        self.init_key = init_key
        self._take_keys(out_keys=[init_key])

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With the marks beside the observations, in the shape of the flags."""
        observation = output_spec["full_observation_spec"]
        keys: list[NestedKey] = []
        for path, leaf in output_spec["full_done_spec"].leaves().items():
            if path[-1] == "done":
                key = as_user_key((*path[:-1], *as_path(self.init_key)))
                keys.append(key)
                observation[key] = Categorical(2, shape=leaf.shape, dtype=torch.bool, device=leaf.device)
        self._take_keys(out_keys=keys)
        output_spec["full_observation_spec"] = observation
        return output_spec

    # -- rows -----------------------------------------------------------------------------------------------------

    def _roles(self) -> Roles:
        return Roles(reset_markers=set(map(as_path, self.out_keys)))

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._roots = [outer.array(as_path(key)) for key in self.out_keys]

    def _step_row(self, t: int) -> None:
        pass  # rows of next begin as zeros, and nothing else is ever written there

    def _reset_row(self, t: int, where: Array | None) -> None:
        for root in self._roots:
            root[t][... if where is None else where] = True

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        for path, marks in self._marks(next_tensordict):
            next_tensordict.set(path, marks)
        return next_tensordict

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        for path, marks in self._marks(tensordict_reset):
            tensordict_reset.set(path, begun(tensordict, marks, ~marks))
        return tensordict_reset

    def _marks(self, tensordict: TensorDictBase) -> Iterator[tuple[Key, torch.Tensor]]:
        """Paths, and false in the shape of the ``done`` beside each."""
        for path in map(as_path, self.out_keys):
            done = tensordict.get((*path[: -len(as_path(self.init_key))], "done"), None)
            shape = (*tensordict.batch_size, 1) if done is None else done.shape
            yield path, torch.zeros(shape, dtype=torch.bool, device=tensordict.device)

    # -- a finished rollout ---------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The marks of a rollout ``[*batch, time]``, in place, at the root and under ``"next"``."""
        time = time_axis(tensordict, type(self).__name__)
        for key in self.out_keys:
            self._mark(tensordict, time, as_path(key))
        return tensordict

    def _mark(self, tensordict: TensorDictBase, time: int, path: Key) -> None:
        group = path[: -len(as_path(self.init_key))]
        marks = done_before(tensordict, time, group, type(self).__name__).unsqueeze(-1)
        given: Any = tensordict.get(path, None)
        first = True if given is None else given.select(time, 0)
        marks.select(time, 0).copy_(torch.as_tensor(first))
        tensordict.set(path, marks)
        tensordict.set(under_next(path), torch.zeros_like(marks))

    def extra_repr(self) -> str:
        """The key, for ``repr``."""
        return f"init_key={self.init_key!r}"

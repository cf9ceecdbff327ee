"""Numbers the episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Bounded, Composite
from envcli.transforms.episode_starts import begun
from envcli.transforms.stated import Stated

__all__ = ["TrajCounter"]


class TrajCounter(Stated):
    """``traj_count``, ``[*batch, 1]`` int64: the number of the episode, from 0 on, the same in each of its steps.

    The envs that a reset begins take the next numbers, in their order; those that it leaves alone keep theirs. Around
    a batch (``TransformedEnv(ParallelEnv(...), TrajCounter())``) no two episodes have the same one.

    Inside the envs of a batch each env counts its own: 0, 1, 2, whatever the others do and however many workers there
    are, and a clone counts on by itself. (TorchRL's clones share one counter, in all processes: which episode gets
    which number is then decided by who was first, and no seed repeats it.)

    The count goes on from one rollout to the next, and is not begun anew by ``set_seed``; ``state_dict`` tells of it,
    ``{"traj_count": 3}``, in a chain too (TorchRL: only on its own), and ``load_state_dict`` takes it.

    Args:
        out_key: what the number is called. A string alone is that of a name beside the only ``done``, in whatever group
            that is.
        repeats: kept for TorchRL's sake, where it has no meaning either.

    Raises:
        TransformError: in an env: there is no ``done`` in the group of ``out_key``. On a rollout: always, as episodes
            are numbered where they begin.
    """

    _stated = ("traj_count",)

    def __init__(self, out_key: NestedKey = "traj_count", *, repeats: int | None = None) -> None:
        super().__init__()
        self.out_keys = [out_key]
        self.repeats = 0 if repeats is None else repeats
        self._begun = 0  # episodes
        self._path: Key = as_path(out_key)
        self._shape = torch.Size([1])  # of the flag beside it, in the env that it is in

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        flags = before.full_done_spec.leaves().items()
        dones = {path[:-1]: leaf.shape for path, leaf in flags if path[-1] == "done"}
        path = as_path(self.out_keys[0])
        self._path = (*next(iter(dones)), *path) if len(path) == len(dones) == 1 else path
        if self._path[:-1] not in dones:
            raise TransformError(
                f"TrajCounter: there is no 'done' beside {self.out_keys[0]!r}. The env has "
                f"{[as_user_key((*group, 'done')) for group in dones]}: put out_key next to one of them"
            )
        self._shape = dones[self._path[:-1]]

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """With the number."""
        return self._with_number(observation_spec)

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """With the number: a step reads it, so that a TensorDict can be taken up where it was left."""
        return self._with_number(state_spec)

    def _with_number(self, spec: Composite) -> Composite:
        spec, high = spec.clone(), torch.iinfo(torch.int64).max  # programs for TorchRL give it the base env's own
        spec[as_user_key(self._path)] = Bounded(0, high, shape=self._shape, dtype=torch.int64, device=spec.device)
        return spec

    # -- rows -----------------------------------------------------------------------------------------------------

    def _rewrites(self) -> set[Key]:
        return {self._path, under_next(self._path)}

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._root = outer.array(self._path)
        single = not outer.batch_size and self._root.shape[1:] in ((), (1,))
        rows = outer.flags if single else outer.array
        self._before, self._after = rows(self._path), rows(under_next(self._path))

    def _step_row(self, t: int) -> None:
        self._after[t] = self._before[t]

    def _reset_row(self, t: int, where: Array | None) -> None:
        rows, mask = self._root[t, ...], ... if where is None else where
        rows[mask] = self._numbers(rows[mask].shape)

    def _numbers(self, shape: tuple[int, ...]) -> Array:
        """The next ones, ``shape``, which are taken then."""
        first = self._begun
        self._begun = first + int(np.prod(shape))
        return np.arange(first, self._begun).reshape(shape)

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        number = tensordict.get(self._path, None)
        if number is None:
            raise TransformError(f"TrajCounter: a step continues from {as_user_key(self._path)!r}, which is missing")
        return next_tensordict.set(self._path, number)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        done = tensordict_reset.get((*self._path[:-1], "done"), None)
        shape = torch.Size([*tensordict_reset.batch_size, 1]) if done is None else done.shape
        given = None if tensordict is None else tensordict.get(self._path, None)
        starts = torch.ones(shape, dtype=torch.bool, device=tensordict_reset.device)
        starts = begun(tensordict, None if given is None else ~starts, starts)
        numbers = torch.zeros_like(starts, dtype=torch.int64) if given is None else given.clone()
        numbers[starts] = torch.from_numpy(self._numbers((int(starts.sum()),))).to(numbers.device)
        return tensordict_reset.set(self._path, numbers)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Refused: see the class."""
        raise TransformError("TrajCounter numbers episodes as they begin: add it to an env")

    # -- its state ------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {"traj_count": self._begun}

    def _take_state(self, state: Mapping[str, Any]) -> None:
        self._begun = int(state.get("traj_count", self._begun))

    def extra_repr(self) -> str:
        """The key, for ``repr``."""
        return f"out_key={self.out_keys[0]!r}"

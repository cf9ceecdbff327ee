"""Rows for transforms that are written on TensorDicts, as for TorchRL."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import Key, as_path, as_user_key
from envcli.mdp import leaf_paths
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.row_views import RowViews
from envcli.transforms.transform import Transform

__all__ = ["TensorDictRows"]


class TensorDictRows:
    """The row hooks of one such transform: rows become TensorDicts, and what comes back is written into rows.

    ``actions`` are those of the env before it.
    """

    def __init__(
        self,
        transform: Transform,
        inner: RolloutBuffer,
        outer: RolloutBuffer,
        device: torch.device | None,
        actions: Collection[Key] = (),
    ) -> None:
        self._transform = transform
        self._inner, self._outer = inner, outer
        self._taken = {*actions, *map(as_path, transform.in_keys_inv)}
        inner_root, inner_next = _split(inner)
        outer_root, _ = _split(outer)
        # A transform may keep what it was shown, such as the observation before.
        self._inner_root = RowViews(inner, inner_root, device, lasting=True)
        self._inner_next = RowViews(inner, inner_next, device, prefix=("next",), lasting=True)
        self._outer_root = RowViews(outer, outer_root, device, lasting=True)
        self._asked = RowViews(outer, outer_root, device, copied=self._taken)

    def step_row(self, t: int) -> None:
        """See ``Transform._step_row``."""
        before = self._inner_next(t)
        result = self._transform._step(self._outer_root(t), before.copy())
        self._store(self._outer, t, before, result, ("next",), ...)

    def reset_row(self, t: int, where: Array | None) -> None:
        """See ``Transform._reset_row``."""
        mask: Any = ... if where is None else torch.from_numpy(where)
        before = self._inner_root(t)
        given = self._outer_root(t)
        if where is not None:
            given.set("_reset", torch.from_numpy(where).unsqueeze(-1))
        result = self._transform._reset(given, before.copy())
        self._store(self._outer, t, before, result, (), mask)

    def inv_row(self, t: int) -> None:
        """See ``Transform._inv_row``."""
        before = self._asked(t)
        self._store(self._inner, t, before, self._transform._inv_call(before.copy()), (), ...)

    def _store(
        self, target: RolloutBuffer, t: int, before: TensorDictBase, result: TensorDictBase, prefix: Key, mask: Any
    ) -> None:
        source = self._outer if target is self._inner else self._inner
        for path in leaf_paths(result):
            full = (*prefix, *path)
            value = result.get(as_user_key(path))
            if full not in target:
                if full in source:  # an entry of the other side that passed through
                    continue
                raise SpecError(
                    f"{type(self._transform).__name__} wrote {as_user_key(path)!r}, which its specs do not declare. "
                    "Name it in out_keys, or add it in transform_observation_spec"
                )
            rows = target[full]
            inwards = target is self._inner
            shared = source.tensors.get(full) is rows and (inwards or not target.is_passing(full))
            known_better = shared or inwards != (full in self._taken)  # outwards: the user's own action
            if full in source and known_better and before.get(as_user_key(path), None) is value:
                continue  # the same memory; or what the other side knows better
            if value.dtype != rows.dtype or value.shape != rows.shape[1:]:
                value = self._fitted(value, full, rows)
            rows[t][mask] = value[mask].detach().to(rows.device)

    def _fitted(self, value: torch.Tensor, path: Key, rows: torch.Tensor) -> torch.Tensor:
        """``value`` in the shape of a row of ``path``. Raises SpecError where a row would hold something else."""
        shape = rows.shape[1:]
        if _without_ones(value.shape) == _without_ones(shape) and torch.can_cast(value.dtype, rows.dtype):
            return value.reshape(shape)
        raise SpecError(
            f"{self._transform!r} gives {as_user_key(path)!r} as {value.dtype} {list(value.shape)}, expected "
            f"{rows.dtype} {list(shape)} by the specs. Let a Transform declare what it gives in "
            "transform_observation_spec (or that of the reward or action), and give the same in _step and _reset"
        )


def _without_ones(shape: torch.Size) -> list[int]:
    return [size for size in shape if size != 1]


def _split(buffer: RolloutBuffer) -> tuple[list[Key], list[Key]]:
    return [path for path in buffer if path[0] != "next"], [path for path in buffer if path[0] == "next"]

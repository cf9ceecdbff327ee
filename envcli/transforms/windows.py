"""The last few values of each env: as an env runs, and in a finished rollout."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import NestedKey, as_path, as_user_key
from envcli.memory.buffer import Array

__all__ = ["Ring", "done_of", "first_rows", "last_rows", "time_axis", "window_rows"]

_ROOM = 4  # windows in a ring: the last frames are moved to its front once in so many times their number


class Ring:
    """The last ``count`` values of each env, side by side along one axis: a step writes one value and moves none.

    Args:
        count: values in a window.
        shape: ``[*batch, *value]``.
        axis: the dimension of a value, negative, along which they stand.
        dtype: of the values.

    ``waiting`` is a mask of the envs, as of ``fill``, that ``push`` leaves as they are; None: of none.
    """

    def __init__(self, count: int, shape: tuple[int, ...], axis: int, dtype: np.dtype[Any]) -> None:
        self.layout = (count, shape, axis, dtype)
        self._count, self._size, self._slots = count, shape[axis], max(_ROOM * count, 2)
        whole = list(shape)
        whole[axis] *= self._slots
        self._memory = np.zeros(whole, dtype=dtype)
        self._after = (slice(None),) * (-axis - 1)
        self._last = count - 1
        self.waiting: Array | None = None

    def _part(self, first: int, stop: int) -> Array:
        """The slots from ``first`` to ``stop``: a view."""
        place: tuple[Any, ...] = (..., slice(first * self._size, stop * self._size), *self._after)  # Any: numpy's own
        part: Array = self._memory[place]
        return part

    @property
    def window(self) -> Array:
        """``[*batch, *value]``, ``count`` times as long along the axis, the newest last: a view."""
        return self._part(self._last + 1 - self._count, self._last + 1)

    def push(self, value: Array) -> None:
        """``value`` is the newest, and the oldest is forgotten."""
        if self.waiting is not None:
            self._push_some(value, self.waiting)
            return
        if self._last + 1 == self._slots:
            kept = self._count - 1
            self._part(0, kept)[...] = self._part(self._slots - kept, self._slots)
            self._last = kept - 1
        self._last += 1
        self._part(self._last, self._last + 1)[...] = value

    def _push_some(self, value: Array, waiting: Array) -> None:
        self.waiting, before = None, [part.copy() for part in self._parts()]
        self.push(value)
        self.waiting = waiting
        for part, old in zip(self._parts(), before, strict=True):
            part[waiting] = old[waiting]

    def _parts(self) -> list[Array]:
        """Of the window, the oldest first."""
        return [self._part(slot, slot + 1) for slot in range(self._last + 1 - self._count, self._last + 1)]

    def fill(self, value: Array, earlier: Any, where: Array | None) -> None:
        """``value`` is the first of an episode; what would have been before it is ``earlier``, None for the same."""
        for slot in range(self._last + 1 - self._count, self._last + 1):
            part = self._part(slot, slot + 1)
            first = value if earlier is None or slot == self._last else np.broadcast_to(earlier, part.shape)
            if where is None:
                part[...] = first
            else:
                part[where] = first[where]


def time_axis(tensordict: TensorDictBase, who: str) -> int:
    """The dimension of ``tensordict`` that is named ``"time"``, or else the last.

    Raises:
        TransformError: it has none.
    """
    if not tensordict.batch_dims:
        raise TransformError(f"{who} needs a rollout [*batch, time], found a TensorDict without dimensions")
    names = list(tensordict.names)
    return names.index("time") if "time" in names else tensordict.batch_dims - 1


def done_of(tensordict: TensorDictBase, key: NestedKey, axis: int) -> torch.Tensor:
    """``[envs, time]`` bool: where episodes end. Nowhere, if ``("next", key)`` is not there."""
    done = tensordict.get(as_user_key(("next", *as_path(key))), None)
    shape = tensordict.batch_size
    if done is None:
        return torch.zeros(shape.numel() // shape[axis], shape[axis], dtype=torch.bool, device=tensordict.device)
    ended: torch.Tensor = done.reshape(*shape, -1).any(-1).movedim(axis, -1).reshape(-1, shape[axis])
    return ended


def first_rows(done: torch.Tensor) -> torch.Tensor:
    """``[envs, time]``: the row in which the episode of each row began."""
    rows = torch.arange(done.shape[1], device=done.device)
    began = torch.ones_like(done)
    began[:, 1:] = done[:, :-1]
    return torch.where(began, rows, 0).cummax(1).values


def last_rows(done: torch.Tensor) -> torch.Tensor:
    """``[envs, time]``: the row in which the episode of each row ends."""
    return done.shape[1] - 1 - first_rows(done.flip(1).roll(-1, 1)).flip(1) if done.shape[1] else done.long()


def window_rows(count: int, steps: int, device: torch.device | None = None) -> torch.Tensor:
    """``[time, count]``: the rows before and up to each, the newest last; negative before the first."""
    rows: torch.Tensor = torch.arange(steps, device=device).unsqueeze(-1) + torch.arange(1 - count, 1, device=device)
    return rows

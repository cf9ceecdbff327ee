"""Rows of a buffer as TensorDicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from tensordict import TensorDict

from envcli.keys import Key, nest
from envcli.memory.buffer import RolloutBuffer
from envcli.memory.groups import set_group_batch_sizes

__all__ = ["RowViews"]

_SPLIT = 256  # rows made into views at a time: unbind costs 0.3 us a row, indexing one by one 1.5


class RowViews:
    """Row ``t`` of some entries of a buffer as a TensorDict ``[*batch]`` of views.

    Writing into its tensors writes into the buffer; setting its entries does not.

    Args:
        buffer: whose rows.
        paths: which entries.
        device: where the TensorDict is wanted; another place than the host means copies.
        prefix: left out of the keys: with ``("next",)`` the rows of the next step stand at the root.
        lasting: copy what stands in memory that is written again, so that whoever keeps a value keeps it.
        copied: entries that are always copied, so that whoever changes a value leaves the buffer as it is.
    """

    def __init__(
        self,
        buffer: RolloutBuffer,
        paths: Sequence[Key],
        device: torch.device | None,
        prefix: Key = (),
        lasting: bool = False,
        copied: Collection[Key] = (),
    ) -> None:
        self._buffer = buffer
        on_host = device is None or device.type == "cpu"
        self._device = None if on_host else device
        self._empty = TensorDict({}, batch_size=buffer.batch_size, device=device if on_host else None)
        keys = [path[len(prefix) :] for path in paths]
        self._groups = [(group[len(prefix) :], part) for group, part in buffer.groups(paths)]
        self._flat = all(len(key) == 1 for key in keys)
        self._entries: list[tuple[Any, torch.Tensor]] = [
            (key[0] if self._flat else key, buffer[path]) for key, path in zip(keys, paths, strict=True)
        ]
        self._copied = [
            key
            for path, (key, _) in zip(paths, self._entries, strict=True)
            if path in copied or (lasting and buffer.is_passing(path))
        ]
        self._keeps_none = len(self._copied) == len(keys)
        self._first = self._stop = 0
        self._views: list[tuple[Any, tuple[torch.Tensor, ...]]] = []

    def __call__(self, t: int) -> TensorDict:
        """Row ``t``."""
        values = {key: rows[t].clone() for key, rows in self._entries} if self._keeps_none else self._seen(t)
        row = self._filled(values) if self._flat else self._nested(values)
        return row if self._device is None else row.to(self._device)

    def _seen(self, t: int) -> dict[Any, torch.Tensor]:
        if not self._first <= t < self._stop:
            self._split(t)
        i = t - self._first
        values = {key: views[i] for key, views in self._views}
        for key in self._copied:
            values[key] = values[key].clone()
        return values

    def _nested(self, values: dict[Any, torch.Tensor]) -> TensorDict:
        row: TensorDict = self._empty.empty().update(nest(values))
        set_group_batch_sizes(row, self._groups)
        return row

    def _filled(self, values: dict[Any, torch.Tensor]) -> TensorDict:
        """``TensorDict(values, batch_size, device)`` without the constructor's checks.

        After a step of many envs caches are cold, and the constructor takes 30 us then; this takes 7.
        """
        row = self._empty.empty()
        for key, value in values.items():
            row._set_str(key, value, inplace=False, validated=True)
        return row

    def _split(self, t: int) -> None:
        self._first, self._stop = t, min(t + _SPLIT, self._buffer.steps)
        self._views = [(key, tensor[t : self._stop].unbind(0)) for key, tensor in self._entries]

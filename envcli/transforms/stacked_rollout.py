"""Windows over the steps of a finished rollout, which never reach into another episode."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import NestedKey, as_path, as_user_key, under_next
from envcli.transforms.windows import done_of, first_rows, last_rows, time_axis, window_rows

__all__ = ["StackedRollout", "both_sides"]


class StackedRollout:
    """What an env would have shown that remembers the last ``count`` values.

    Args:
        tensordict: ``[*batch, time]``; ``time`` is the dimension of that name, or else the last.
        count: values in a window.
        done_key: the flag under ``"next"`` that ends an episode.
        earlier: what stands before the first value of an episode; None: that value.
        future: windows begin with each step, instead of ending with it.
    """

    def __init__(
        self, tensordict: TensorDictBase, count: int, done_key: NestedKey, earlier: float | None, future: bool = False
    ) -> None:
        self._tensordict, self._count, self._earlier, self._future = tensordict, count, earlier, future
        self._axis = time_axis(tensordict, "a window over time")
        done = done_of(tensordict, done_key, self._axis)
        self._envs, self._steps = done.shape
        rows = window_rows(count, self._steps, done.device).expand(self._envs, -1, -1)
        if future:
            rows = rows + (count - 1)
            last = last_rows(done).unsqueeze(-1)
            self._there, self._rows = rows <= last, rows.minimum(last)
        else:
            first = first_rows(done).unsqueeze(-1)
            self._there, self._rows = rows >= first, rows.maximum(first)

    def windows(self, key: NestedKey) -> torch.Tensor | None:
        """``[envs, time, count, *value]`` of an entry, None if it is not there.

        An entry under ``"next"`` is the newest of its window; those before it are the root's, as in an env, if the root
        has the entry too.
        """
        values = self._flat(key)
        if values is None:
            return None
        path = as_path(key)
        root = self._flat(as_user_key(path[1:])) if path[0] == "next" and not self._future else None
        if root is None:
            return self._gathered(values, self._rows, self._there)
        if self._count == 1:
            return values.unsqueeze(2)
        before = self._gathered(root, self._rows[..., 1:], self._there[..., 1:])
        return torch.cat([before, values.unsqueeze(2)], 2)

    def stacked(self, key: NestedKey, dim: int) -> torch.Tensor | None:
        """``[*batch, time, *value]`` with the values of a window one after the other along ``dim``, negative."""
        windows = self.windows(key)
        if windows is None:
            return None
        value = windows.ndim - 3
        if value < -dim:
            raise TransformError(
                f"{key!r} has {value} dimensions besides {list(self._tensordict.shape)}: none is {dim}"
            )
        beside = windows.movedim(2, dim - 1)
        return self.unflat(beside.flatten(dim - 1, dim))

    def mask(self) -> torch.Tensor:
        """``[*batch, time, count]`` bool: which values of a window were there."""
        return self.unflat(self._there)

    def unflat(self, value: torch.Tensor) -> torch.Tensor:
        """``[envs, time, ...]`` -> ``[*batch, time, ...]``."""
        batch = list(self._tensordict.shape)
        del batch[self._axis]
        return value.reshape(*batch, self._steps, *value.shape[2:]).movedim(len(batch), self._axis)

    def _flat(self, key: NestedKey) -> torch.Tensor | None:
        value = self._tensordict.get(key, None)
        if value is None:
            return None
        lead = self._tensordict.batch_dims
        flat: torch.Tensor = value.movedim(self._axis, lead - 1).reshape(self._envs, self._steps, *value.shape[lead:])
        return flat

    def _gathered(self, values: torch.Tensor, rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        env = torch.arange(self._envs, device=values.device).view(-1, 1, 1)
        windows = values[env, rows.to(values.device)]
        if self._earlier is not None:
            windows[~there.to(values.device)] = self._earlier
        return windows


def both_sides(in_keys: Sequence[NestedKey], out_keys: Sequence[NestedKey]) -> list[tuple[NestedKey, NestedKey]]:
    """What is read and written in a rollout: the entries, and, unless some are named, those under ``"next"``."""
    pairs = list(zip(in_keys, out_keys, strict=True))
    if any(as_path(key)[0] == "next" for key in in_keys):
        return pairs
    following = [tuple(as_user_key(under_next(as_path(key))) for key in pair) for pair in pairs]
    return [*pairs, *((i, o) for i, o in following)]

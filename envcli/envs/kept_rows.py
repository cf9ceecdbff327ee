"""The rows of a rollout that was handed out as a copy, kept for the next one."""

from __future__ import annotations

from collections.abc import Callable

import torch

from envcli.memory.buffer import RolloutBuffer

__all__ = ["KeptRows"]

_CHEAP = 2**20  # bytes

# How many tensors show a storage; private to torch, and where it is missing no rows are kept.
_SHOWN_BY: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)


class KeptRows:
    """Rows that an env can stay bound to, from one rollout to the next of that length.

    To bind the envs of a batch anew takes as long as 20 steps of each, and more with transforms: a fifth of the time of
    a short rollout of PPO. But whoever was shown rows, a policy or a callback, may have kept a view of them, and so may
    the graph of what it computed; then they are not to be written again.

    Args:
        buffer: that the env is bound to, and that nobody else can see before the rollout.
    """

    def __init__(self, buffer: RolloutBuffer) -> None:
        self._buffer = buffer
        for path in buffer:
            buffer.array(path)  # counts as well, and is made when it is first asked for
        self._shown = {path: _shown_by(rows) for path, rows in buffer.tensors.items()}

    @staticmethod
    def are_cheap(buffer: RolloutBuffer) -> bool:
        """Does a copy of ``buffer`` take less than to bind envs to other rows?"""
        return buffer.nbytes <= _CHEAP

    def of(self, steps: int) -> RolloutBuffer | None:
        """The buffer, if it is of so many steps."""
        return self._buffer if self._buffer.steps == steps else None

    def are_free(self) -> bool:
        """Does nobody else show them now?"""
        if _SHOWN_BY is None:
            return False
        buffer = self._buffer
        return all(
            _shown_by(rows) <= self._shown.get(path, buffer.shows(path)) for path, rows in buffer.tensors.items()
        )


def _shown_by(rows: torch.Tensor) -> int:
    return 0 if _SHOWN_BY is None else _SHOWN_BY(rows.untyped_storage()._cdata) - 1  # the storage that is asked, too

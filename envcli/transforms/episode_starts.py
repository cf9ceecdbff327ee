"""Where the episodes of a finished rollout begin."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key

__all__ = ["begun", "done_before"]


def done_before(tensordict: TensorDictBase, time: int, group: Key, who: str) -> torch.Tensor:
    """``[*batch, time]`` bool: was the row before this one the last of an episode? False in the first row.

    ``time`` is the dimension of that. The flag is the ``done`` under ``"next"`` that is nearest to ``group``, from
    there to the root. Raises TransformError, in the name of ``who``, where there is none.
    """
    for depth in range(len(group), -1, -1):
        done: torch.Tensor | None = tensordict.get(("next", *group[:depth], "done"), None)
        if done is not None:
            ended = done.flatten(tensordict.batch_dims).any(-1) if done.ndim > tensordict.batch_dims else done
            before = ended.roll(1, time)
            before.select(time, 0).fill_(False)
            return before
    raise TransformError(f"{who}: expected ('next', 'done'), which marks where episodes end, found none")


def begun(tensordict: TensorDictBase | None, given: torch.Tensor | None, start: torch.Tensor) -> torch.Tensor:
    """``[*batch, *value]``: ``start`` where a reset begins an episode, ``given`` elsewhere.

    Who is reset is in ``"_reset"`` of ``tensordict``, ``[*batch, 1]`` bool; all, where that or ``given`` is missing.
    """
    where = None if tensordict is None else tensordict.get("_reset", None)
    if tensordict is None or where is None or given is None:
        return start
    mask = where.reshape(*tensordict.batch_size, *[1] * (start.ndim - tensordict.batch_dims))
    return torch.where(mask, start, given)

"""Where the episodes of a finished rollout begin."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key

__all__ = ["done_before"]


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
    raise TransformError(f"{who}: expected ('next', 'done'), which says where episodes end, found none")

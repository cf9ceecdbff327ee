"""The done family: the flags of the end of an episode, as a spec and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from envcli.keys import DONE_FAMILY
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Categorical, Composite

__all__ = ["EndRows", "completed", "done_family"]


def done_family(batch_size: Sequence[int] = (), device: torch.device | None = None) -> Composite:
    """Done, terminated and truncated, ``[*batch, 1]`` bool each, of envs that tell the two ends apart.

    >>> list(done_family([3]).keys())
    ['done', 'terminated', 'truncated']
    """
    flag = Categorical(2, shape=torch.Size([*batch_size, 1]), dtype=torch.bool, device=device)
    return Composite(dict.fromkeys(DONE_FAMILY, flag), shape=torch.Size(batch_size), device=device)


def completed(flags: Composite, device: torch.device | None) -> Composite:
    """``flags`` with ``terminated`` beside each ``done``, the other way round, and both in a group without any flag."""
    flags = flags.clone(recurse=False)
    for name, inner in list(flags.items()):
        if isinstance(inner, Composite):
            flags.set(name, completed(inner, device))
    if flags.is_empty():
        flags.set("done", Categorical(2, shape=[*flags.shape, 1], dtype=torch.bool, device=device))
    for one, other in (("done", "terminated"), ("terminated", "done")):
        if one in flags and other not in flags:
            flags.set(other, flags[one])
    return flags


class EndRows:
    """The done family of a buffer's ``next``, to be written where an episode ends; it is false everywhere else.

    ``done``, ``terminated`` and ``truncated`` are ``[time]`` of a single env, see :meth:`RolloutBuffer.flags`, and
    ``[time, *batch]`` of a batch.
    """

    def __init__(self, buffer: RolloutBuffer) -> None:
        # Any: a memoryview, or an array
        self.done, self.terminated, self.truncated = (_flags(buffer, ("next", name)) for name in DONE_FAMILY)

    def mark(self, at: Any, terminated: Any, truncated: Any) -> None:
        """Write down an end: bools, or ``[envs]`` of them, into row ``at``, or into what of a batch ``at`` indexes."""
        self.done[at] = terminated | truncated
        self.terminated[at], self.truncated[at] = terminated, truncated


def _flags(buffer: RolloutBuffer, path: tuple[str, ...]) -> Any:
    return buffer.array(path)[..., 0] if buffer.batch_size else buffer.flags(path)

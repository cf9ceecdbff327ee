"""The done family: the flags of the end of an episode, as a spec and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import DONE_FAMILY, Key, as_path, as_user_key
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Categorical, Composite

__all__ = ["EndRows", "completed", "done_family", "require_flags", "terminated_or_truncated"]


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


def require_flags(flags: Composite, who: str) -> None:
    """Raise SpecError unless each leaf has a dimension more than ``flags``, and those of a group have one shape."""
    groups: dict[Key, torch.Size] = {}
    for path, leaf in flags.leaves().items():
        said = f"{who}: the flag {as_user_key(path)!r} has shape {list(leaf.shape)}, expected"
        if leaf.ndim <= flags.ndim:
            raise SpecError(f"{said} a dimension more than the batch: {[*flags.shape, 1]}")
        if leaf.shape != (shape := groups.setdefault(path[:-1], leaf.shape)):
            raise SpecError(f"{said} {list(shape)}, that of the flags beside it")


def terminated_or_truncated(
    data: TensorDictBase,
    full_done_spec: Composite | None = None,
    key: str | None = "_reset",
    write_full_false: bool = False,
) -> bool:
    """Is any flag of ``data`` set? If so, what a reset needs is left in it: in each group, where one of its flags is.

    If none is set, masks of before are taken out.

    Args:
        data: ``[*batch]``, what :func:`envcli.step_mdp` gives, say.
        full_done_spec: which flags there are; one that ``data`` lacks is false. None: whatever in ``data`` is called
            ``done``, ``terminated`` or ``truncated``, in each group.
        key: what the masks are called, one beside the flags of each group, of their shape; None: none are written.
        write_full_false: write the masks if no flag is set, too, instead of taking them out.
    """
    paths = map(as_path, data.keys(True, True)) if full_done_spec is None else full_done_spec.leaves()
    masks: dict[Key, torch.Tensor] = {}
    for path in paths:
        if full_done_spec is None and path[-1] not in DONE_FAMILY:
            continue
        flag = data.get(as_user_key(path), None)
        if flag is None:
            flag = torch.zeros((*data.batch_size, 1), dtype=torch.bool, device=data.device)
        before = masks.get(path[:-1])
        masks[path[:-1]] = flag if before is None else before | flag
    found = any(bool(mask.any()) for mask in masks.values())
    if key is None:
        return found
    for group, mask in masks.items():
        place = as_user_key((*group, key))
        if found or write_full_false:
            data.set(place, mask.clone())
        else:
            data.pop(place, None)
    return found


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

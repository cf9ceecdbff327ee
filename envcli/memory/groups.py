"""Groups: nested TensorDicts that count more than the batch, such as the agents of an env."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import torch
from tensordict import TensorDict

from envcli.keys import Key

__all__ = ["common", "groups_of", "set_group_batch_sizes"]


def common(one: torch.Size, other: torch.Size) -> torch.Size:
    """What two shapes begin with alike.

    >>> common(torch.Size([3, 2]), torch.Size([3, 1]))
    torch.Size([3])
    """
    same = itertools.takewhile(lambda sizes: sizes[0] == sizes[1], zip(one, other, strict=False))
    return torch.Size([size for size, _ in same])


def groups_of(values: Mapping[Key, torch.Size], parts: Mapping[Key, torch.Size]) -> list[tuple[Key, torch.Size]]:
    """The groups above some paths that count more than the batch, from the outside in, and what: ``[*part]``.

    Args:
        values: path, at the root or under ``"next"`` -> shape of one value, without the batch.
        parts: group at the root -> what its TensorDict counts, ``[*part]``. Where a value in it counts less, as one
            that somebody added, the group does too.
    """
    found: dict[Key, torch.Size] = {}
    for path, value in values.items() if parts else ():
        root = int(path[0] == "next")
        for n in range(root + 1, len(path)):
            if part := parts.get(path[root:n]):
                found[path[:n]] = common(found.get(path[:n], part), value)
    return sorted(((group, part) for group, part in found.items() if part), key=lambda item: len(item[0]))


def set_group_batch_sizes(tensordict: TensorDict, groups: Iterable[tuple[Key, Sequence[int]]]) -> None:
    """Have nested TensorDicts of ``tensordict``, from the outside in, count ``[*part]`` too, where they are there."""
    for group, part in groups:
        if (inner := tensordict.get(group, None)) is not None:
            inner.batch_size = torch.Size([*tensordict.batch_size, *part])

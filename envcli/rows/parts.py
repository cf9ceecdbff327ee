"""Parts of an env whose episodes end separately: agents that have flags of their own, where the env has none."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch

from envcli.errors import SpecError
from envcli.keys import Key, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import all_of
from envcli.rows.env_specs import EnvSpecs

__all__ = ["EndFlags", "Masks", "flag_parts", "has_parts", "is_split", "named", "names_all", "no_parts", "over_part"]

Masks: TypeAlias = Mapping[Key, Array]
"""Group of flags -> a bool mask ``[*batch, *part]``: where an episode ended, or is to begin."""


def has_parts(env: EnvSpecs) -> bool:
    """May a part of ``env`` end while another goes on?"""
    return _found(env)[1]


def flag_parts(env: EnvSpecs) -> dict[Key, torch.Size]:
    """Group of flags -> ``[*part]``, the shape of a flag without the batch."""
    return _found(env)[0]


def _found(env: EnvSpecs) -> tuple[dict[Key, torch.Size], bool]:
    spec = env.full_done_spec
    if env._parted is None or env._parted[0] is not spec:  # every reset of a loop of one's own asks
        parts = {path[:-1]: leaf.shape[env.ndim :] for path, leaf in spec.leaves().items()}
        several = sum(parts[group].numel() for group in {path[:-1] for path in env._governing_flags()}) > 1
        env._parted = spec, parts, several
    return env._parted[1], env._parted[2]


def over_part(where: Array, part: torch.Size) -> Array:
    """``where``, ``[*batch]``, repeated for every part: ``[*batch, *part]``."""
    return np.broadcast_to(where.reshape(*where.shape, *[1] * len(part)), (*where.shape, *part))


def named(masks: Masks, batch_size: torch.Size) -> Array:
    """``[*batch]``: the envs that ``masks`` name, in whole or in part."""
    where = np.zeros(batch_size, dtype=bool)
    for mask in masks.values():
        parts = mask.reshape(*batch_size, -1)
        where |= parts[..., 0] if parts.shape[-1] == 1 else parts.any(-1)
    return where


def is_split(env: EnvSpecs, masks: Masks, batch_size: torch.Size) -> bool:
    """Do ``masks`` name a part of some env, but not all of it?"""
    if not has_parts(env):
        return False
    groups = {path[:-1] for path in env._governing_flags()}
    if groups.isdisjoint(masks):
        return False
    nothing = np.zeros((*batch_size, 1), dtype=bool)
    each = np.concatenate([masks.get(group, nothing).reshape(*batch_size, -1) for group in groups], -1)
    return bool((each.any(-1) != each.all(-1)).any())


def names_all(env: EnvSpecs, masks: Masks, batch_size: torch.Size) -> bool:
    """Do ``masks`` name every env as a whole? Empty ones do."""
    return not masks or (all_of(named(masks, batch_size)) and not is_split(env, masks, batch_size))


def no_parts(env: EnvSpecs) -> SpecError:
    """The error for resetting a part of an ``env`` that can only be reset as a whole."""
    flags = [as_user_key(path) for path in env._governing_flags()]
    return SpecError(
        f"{type(env).__name__} cannot reset single agents, but within one env some of {flags} are set and others are "
        "not. Only an EnvBase can, or a batch of them in rollouts without a callback; or give the env a 'done' at the "
        "root, which ends the episode of all agents"
    )


class EndFlags:
    """The flags of ``buffer`` that say where an episode of ``env`` is over.

    ``has_parts``: see :func:`has_parts`.
    """

    def __init__(self, env: EnvSpecs, buffer: RolloutBuffer) -> None:
        self._batch_size = env.batch_size
        self.has_parts = has_parts(env)
        self._root: dict[Key, list[Array]] = {}
        self._next: dict[Key, list[Array]] = {}
        for path in env._governing_flags():
            self._root.setdefault(path[:-1], []).append(buffer.array(path))
        for path in env._end_flags():
            self._next.setdefault(path[:-1], []).append(buffer.array(under_next(path)))

    def masks(self, t: int, of_next: bool) -> Masks:
        """Where they are up in row ``t``."""
        groups = self._next if of_next else self._root
        return {group: functools.reduce(np.logical_or, [rows[t] for rows in flags]) for group, flags in groups.items()}

    def envs(self, t: int) -> Array:
        """``[*batch]``: the envs of which any is up in row ``t`` of next."""
        return named(self.masks(t, of_next=True), self._batch_size)

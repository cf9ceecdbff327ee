"""Where an env begins: which envs of a batch are reset, and what a TensorDict says about the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import Key, as_path, as_user_key
from envcli.mdp import Begun, leaf_paths
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import all_of
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.parts import Masks, flag_parts, is_split, named, names_all, no_parts, over_part
from envcli.rows.row_env import RowEnv

__all__ = [
    "begin_from",
    "begun_where",
    "load_row",
    "require_shown",
    "reset_mask",
    "reset_masks",
    "shown_by_reset",
    "updated",
]


def reset_mask(env: EnvSpecs, tensordict: TensorDictBase, batch_size: torch.Size | None = None) -> Array | None:
    """``[*batch]`` bool of the envs that ``"_reset"`` names, None for all of them.

    ``batch_size``: another than the env's. Raises SpecError if the mask has another shape, or names parts of an env.
    """
    batch = env.batch_size if batch_size is None else batch_size
    masks = reset_masks(env, tensordict, batch)
    if is_split(env, masks, batch):
        raise no_parts(env)
    where = named(masks, batch)
    return None if not masks or all_of(where) else where


def reset_masks(env: EnvSpecs, tensordict: TensorDictBase, batch_size: torch.Size) -> Masks:
    """What ``"_reset"`` beside each group of flags names; empty where there is none, which means all.

    Raises SpecError if a mask has another shape than ``[*batch_size, ...]``.
    """
    masks: dict[Key, Array] = {}
    for group, part in flag_parts(env).items():
        key = as_user_key((*group, "_reset"))
        mask = tensordict.get(key, None)
        if mask is None:
            continue
        fits = mask.shape == (*batch_size, *part)
        of_envs = mask.shape[: len(batch_size)] == batch_size and mask.numel() == batch_size.numel()
        if mask.dtype != torch.bool or not (fits or of_envs):
            raise SpecError(
                f"{key!r}: expected a bool mask of shape {[*batch_size, *part]}, found {mask.dtype} {list(mask.shape)}"
            )
        given = mask.cpu().numpy()
        masks[group] = given if fits else over_part(given.reshape(batch_size), part)
    return masks


def begun_where(env: EnvSpecs, masks: Masks, batch_size: torch.Size) -> Begun:
    """What ``masks`` mean for the entries of ``env``: those of its envs, and where parts begin, of what a group counts.

    A group counts by the shape of its Composite in ``full_done_spec``, as in TorchRL.
    """
    begun: dict[Key, torch.Tensor] = {(): torch.from_numpy(named(masks, batch_size))}
    for group in {path[:-1] for path in env._governing_flags()} if is_split(env, masks, batch_size) else ():
        spec = env.full_done_spec[as_user_key(group)] if group else env.full_done_spec
        counted = (*batch_size, *spec.shape[env.ndim :])
        mask = masks.get(group, np.zeros(counted, dtype=bool))
        begun[group] = torch.from_numpy(np.asarray(mask.reshape(*counted, -1).any(-1)))
    return begun


def load_row(buffer: RolloutBuffer, t: int, tensordict: TensorDictBase, paths: Iterable[Key]) -> None:
    """Copy the entries ``paths`` of ``tensordict`` into row ``t`` of the root; the row keeps those that it lacks."""
    for path in paths:
        value = tensordict.get(as_user_key(path), None)
        if value is not None:
            buffer[path][t].copy_(value)


def begin_from(env: RowEnv, buffer: RolloutBuffer, tensordict: TensorDictBase, reset: bool) -> None:
    """Add rows for the entries of ``tensordict`` that ``env`` does not have, such as a policy's hidden state.

    All rows hold the value until another one is written.

    Raises:
        SpecError: ``tensordict`` is of another batch size, or lacks what ``env`` shows although not all is ``reset``.
    """
    if tensordict.batch_size != env.batch_size:
        raise SpecError(
            f"rollout: tensordict has batch_size {list(tensordict.batch_size)}, the env {list(env.batch_size)}"
        )
    if not reset or not names_all(env, reset_masks(env, tensordict, env.batch_size), env.batch_size):
        require_shown(env, tensordict)
    foreign = {*env.full_reward_spec.leaves(), *map(as_path, env.reset_keys), *buffer}
    for path in sorted(set(leaf_paths(tensordict)) - foreign):
        value = tensordict.get(as_user_key(path))
        if path[0] != "next" and isinstance(value, torch.Tensor):
            buffer.add(path, value)[:] = value.detach().cpu()


def require_shown(env: RowEnv, tensordict: TensorDictBase) -> None:
    """Raise SpecError if ``tensordict`` lacks what ``env`` shows, but for flags."""
    shown = shown_by_reset(env) - env._roles().writes_back - set(env.full_done_spec.leaves())
    if missing := shown.difference(leaf_paths(tensordict)):
        raise SpecError(
            f"rollout: no {', '.join(map(repr, map(as_user_key, sorted(missing))))} in the tensordict to begin from. "
            "Start from env.reset() or env.step_mdp(tensordict)"
        )


def shown_by_reset(env: EnvSpecs) -> set[Key]:
    """The paths that a reset writes."""
    return {*env.observation_spec.leaves(), *env.state_spec.leaves(), *env.full_done_spec.leaves()}


def updated(tensordict: TensorDictBase | None, fresh: TensorDictBase, masks: list[Any]) -> TensorDictBase:
    """What ``reset`` gives back: ``fresh``, or ``tensordict`` with it and without the ``masks``."""
    if tensordict is None:
        return fresh
    tensordict.update(fresh)
    for key in masks:
        if key in tensordict.keys(include_nested=True):
            del tensordict[key]
    return tensordict

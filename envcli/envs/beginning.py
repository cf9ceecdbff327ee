"""Where an env begins: which envs of a batch are reset, and what a given TensorDict says of the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import Key, as_path, as_user_key
from envcli.mdp import leaf_paths
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs, leaf_specs
from envcli.rows.row_env import RowEnv

__all__ = ["begin_from", "load_row", "reset_mask", "shown_by_reset", "updated"]


def reset_mask(env: EnvSpecs, tensordict: TensorDictBase, batch_size: torch.Size | None = None) -> Array | None:
    """``[*batch]`` bool of the envs that ``"_reset"`` names, None for all of them.

    ``batch_size``: another than the env's. Raises SpecError if the mask has another shape.
    """
    masks = [mask for key in env.reset_keys if (mask := tensordict.get(key, None)) is not None]
    if not masks:
        return None
    batch = env.batch_size if batch_size is None else batch_size
    where = torch.zeros(batch, dtype=torch.bool)
    for mask in masks:
        if mask.shape[: len(batch)] != batch or mask.dtype != torch.bool:
            raise SpecError(
                f"'_reset': expected a bool mask of shape {[*batch, 1]}, found {mask.dtype} {list(mask.shape)}"
            )
        where |= mask.cpu().reshape(*batch, -1).any(-1)
    return None if where.all() else where.numpy()


def load_row(buffer: RolloutBuffer, t: int, tensordict: TensorDictBase, paths: Iterable[Key]) -> None:
    """Row ``t`` of the root becomes what ``tensordict`` holds of ``paths``; what it lacks stays as it is."""
    for path in paths:
        value = tensordict.get(as_user_key(path), None)
        if value is not None:
            buffer[path][t].copy_(value)


def begin_from(env: RowEnv, buffer: RolloutBuffer, tensordict: TensorDictBase, reset: bool) -> None:
    """Rows for what ``tensordict`` holds besides the entries of ``env``: a policy's hidden state, say.

    All rows show the value, until somebody writes another.

    Raises:
        SpecError: ``tensordict`` is of another batch size, or lacks what ``env`` shows although not all is ``reset``.
    """
    if tensordict.batch_size != env.batch_size:
        raise SpecError(
            f"rollout: tensordict has batch_size {list(tensordict.batch_size)}, the env {list(env.batch_size)}"
        )
    shown = shown_by_reset(env) - env._roles().writes_back - set(leaf_specs(env.full_done_spec))
    held = set(leaf_paths(tensordict))
    goes_on = not reset or reset_mask(env, tensordict) is not None
    if goes_on and (missing := shown - held):
        raise SpecError(
            f"rollout: no {', '.join(map(repr, map(as_user_key, sorted(missing))))} in the tensordict to begin from. "
            "Start from env.reset() or env.step_mdp(tensordict)"
        )
    foreign = {*leaf_specs(env.full_reward_spec), *map(as_path, env.reset_keys), *buffer}
    for path in sorted(held - foreign):
        value = tensordict.get(as_user_key(path))
        if path[0] != "next" and isinstance(value, torch.Tensor):
            buffer.add(path, value)[:] = value.detach().cpu()


def shown_by_reset(env: EnvSpecs) -> set[Key]:
    """The paths that a reset writes."""
    return {*leaf_specs(env.observation_spec), *leaf_specs(env.state_spec), *leaf_specs(env.full_done_spec)}


def updated(tensordict: TensorDictBase | None, fresh: TensorDictBase, masks: list[Any]) -> TensorDictBase:
    """What ``reset`` gives back: ``fresh``, or ``tensordict`` with it and without the ``masks``."""
    if tensordict is None:
        return fresh
    tensordict.update(fresh)
    for key in masks:
        if key in tensordict.keys(include_nested=True):
            del tensordict[key]
    return tensordict

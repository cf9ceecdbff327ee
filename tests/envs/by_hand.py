"""What a rollout does, a step at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tensordict import TensorDictBase

from envcli.envs.env import Env

__all__ = ["by_hand"]


def by_hand(env: Env, policy: Callable[[TensorDictBase], TensorDictBase], steps: int) -> TensorDictBase:
    """``[*batch, time]``: ``steps`` of them, those that follow an end from a reset on."""
    td, rows = env.reset(), []
    for _ in range(steps):
        row, td = env.step_and_maybe_reset(policy(td))
        rows.append(row)
    return torch.stack(rows, len(env.batch_size))

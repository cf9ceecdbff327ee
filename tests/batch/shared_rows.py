"""Rows for several envs side by side: for the tests beside."""

from __future__ import annotations

import torch

from envcli.envs.env import Env
from envcli.memory.buffer import RolloutBuffer


def rows_for(env: Env, envs: int, steps: int) -> RolloutBuffer:
    """``[steps, envs, *batch, *value]`` of all that ``env`` shows and takes."""
    layout = {path: (torch.Size([envs, *shape]), dtype) for path, (shape, dtype) in env._row_layout().items()}
    return RolloutBuffer.allocate(layout, steps, torch.Size([envs, *env.batch_size]))

"""What a gymnasium env pays: one number in each step, or one for each of several objectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from envcli.errors import SpecError
from envcli.gym.spaces import announced, space_to_spec
from envcli.memory.buffer import Array
from envcli.rows.announced import Announced, AnnouncedNest
from envcli.specs import TensorSpec, Unbounded

__all__ = ["Objectives"]


class Objectives:
    """The rewards of ``env``: of several objectives where it has a ``reward_space``, as the envs of MO-Gymnasium have.

    A ``LinearReward`` of MO-Gymnasium around it pays the weighted sum, which is one number again.

    Args:
        env: what pays.

    Attributes:
        several: does a step pay more than one number?
        total: makes a step's pay something that can be added up.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._space = _reward_space(env)
        self.several = self._space is not None
        self._announced: Announced | AnnouncedNest = Announced((), "float32")
        self.total: Callable[[Any], float | Array] = float
        if self._space is not None:
            self._announced, self.total = announced(self._space), np.asarray

    def check(self, reward: Any, where: str) -> None:  # Any: whatever the env pays
        """Raise SpecError unless this is what one step pays; ``where`` begins the message."""
        if not self.several and isinstance(reward, list | tuple | np.ndarray) and np.size(reward) > 1:
            shape = np.shape(reward)
            raise SpecError(
                f"{where}: expected a single number, found an array of shape {shape}. If these are of several "
                f"objectives, or agents, say so: env.unwrapped.reward_space = gymnasium.spaces.Box(-inf, inf, {shape})"
            )
        self._announced.check(reward, where)

    def spec(self, repeat: int, device: torch.device | None) -> TensorSpec:
        """Of the reward that ``repeat`` steps pay together: ``[1]``, or ``[objectives]``, bounded as one step's is."""
        if self._space is None:
            return Unbounded(torch.Size([1]), device=device)
        if repeat > 1:  # fewer, where the episode ends among them
            return Unbounded(torch.Size(self._space.shape), device=device)
        return space_to_spec(self._space, device=device, where="reward_space")


def _reward_space(env: gymnasium.Env[Any, Any]) -> spaces.Box | None:
    layer = env
    while isinstance(layer, gymnasium.Wrapper):
        if type(layer).__name__ == "LinearReward":
            return None
        layer = layer.env
    space = getattr(layer, "reward_space", None)
    if not isinstance(space, spaces.Box) or not space.shape:
        return None
    return spaces.Box(space.low.astype(np.float32), space.high.astype(np.float32), space.shape, np.float32)

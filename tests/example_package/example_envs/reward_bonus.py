"""A transform: something is added to each reward."""

from __future__ import annotations

import torch

from envcli import Transform

__all__ = ["RewardBonus"]


class RewardBonus(Transform):
    """``reward + bonus``."""

    def __init__(self, bonus: float = 1.0) -> None:
        super().__init__(in_keys=["reward"])
        self.bonus = bonus

    def _apply_transform(self, reward: torch.Tensor) -> torch.Tensor:
        return reward + self.bonus

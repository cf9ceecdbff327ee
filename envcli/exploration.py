"""How policies that draw their actions choose them: tensordict's switch, by the names that TorchRL gives it."""

from __future__ import annotations

from tensordict.nn import InteractionType as ExplorationType
from tensordict.nn import set_interaction_type as set_exploration_type
from tensordict.nn.probabilistic import interaction_type as exploration_type  # tensordict 0.14 has it here alone

__all__ = ["ExplorationType", "exploration_type", "set_exploration_type"]

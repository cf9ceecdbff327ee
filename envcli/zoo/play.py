"""The contract of how agents play: all at once, or in turns."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any, Protocol, TypeAlias

__all__ = ["Acts", "Answer", "ByAgent", "Infos", "Play"]

ByAgent: TypeAlias = Mapping[str, Any]  # Any: as PettingZoo has it
Infos: TypeAlias = Mapping[str, Mapping[str, Any]]
Answer: TypeAlias = tuple[ByAgent, ByAgent, ByAgent, ByAgent, Infos]
"""Observations, rewards, terminations, truncations and infos, agent by agent; those that are gone are in none."""

Acts: TypeAlias = Mapping[str, Callable[[int], Any]]
"""Agent -> ``act(t)``, its action of row ``t`` in the simulator's own form."""


class Play(Protocol):
    """Resets and steps an env of PettingZoo; what it is asked for is the same whoever acts."""

    def reset(self, **options: Any) -> tuple[ByAgent, Infos]:
        """Observations and infos of a new episode."""

    def step(self, acts: Acts, t: int) -> Answer:
        """What follows the actions of row ``t`` of those who act."""

    def acting(self) -> Container[str]:
        """The agents whose action the next step takes."""

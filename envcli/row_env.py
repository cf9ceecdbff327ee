"""The private contract of an env: four hooks that move rows of a buffer. Everything public stands on them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from envcli.buffer import Array, RolloutBuffer
from envcli.env_specs import EnvSpecs, leaf_specs
from envcli.keys import Key

__all__ = ["RowEnv"]


class RowEnv(EnvSpecs, ABC):
    """What an env must write to be one; no TensorDict is seen here and nothing is allocated per step.

    Memory is handed down once, by ``_bind``; the time index ``t`` says which row is meant. A row of the root holds
    observation, state, action and done family; the same row of ``next`` holds what the action led to.
    """

    _bound: RolloutBuffer | None = None

    @abstractmethod
    def _bind(self, buffer: RolloutBuffer) -> None:
        """Remember the rows of ``buffer``: it holds everything of ``_row_layout()``. Called once per buffer."""

    @abstractmethod
    def _reset_row(self, t: int, where: Array | None) -> None:
        """Begin new episodes: write root ``[t]`` of observation (and state).

        Args:
            t: the row.
            where: ``[*batch]`` bool, the envs to reset; None: all. Rows of the others stay as they are.

        The flags of the row are false on entry where a reset was asked for.
        """

    @abstractmethod
    def _step_row(self, t: int) -> None:
        """Make the step that root ``[t]`` of action (and state) asks for: write next ``[t]``.

        The action is a member of its spec. The flags of the row are false on entry: write them only where they are true.
        """

    @abstractmethod
    def _set_seed(self, seed: int | None) -> None:
        """Make the next reset draw from ``seed``."""

    def _close(self) -> None:
        """Let go of the simulator. Called once."""

    def _row_reads(self) -> set[Key]:
        """The root entries, besides the action, that ``_step_row`` reads: whoever runs the rows keeps them up to date."""
        return set(leaf_specs(self.state_spec))

    # -- binding --------------------------------------------------------------------------------------------------

    def _attach(self, buffer: RolloutBuffer) -> None:
        """Bind to ``buffer`` unless that is where we are bound already."""
        if not self._is_attached(buffer):
            self._bind(buffer)
            self._bound = buffer

    def _is_attached(self, buffer: RolloutBuffer) -> bool:
        return self._bound is buffer

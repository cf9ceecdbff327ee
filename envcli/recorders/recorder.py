"""The contract of a recorder: where the rows of a rollout live, and what is left of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from envcli.buffer import RolloutBuffer
from envcli.row_env import RowEnv

__all__ = ["Recorder"]


class Recorder(ABC):
    """Gives a rollout its memory beforehand, and keeps it afterwards.

    Args:
        folder: where to; made when it is needed.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._buffer: RolloutBuffer | None = None

    @property
    def steps(self) -> int:
        """How many steps have been recorded."""
        return 0 if self._buffer is None else self._buffer.filled

    @abstractmethod
    def buffer(self, env: RowEnv, steps: int) -> RolloutBuffer:
        """Memory for ``steps`` steps of ``env``: what ``env.rollout(out=...)`` takes.

        Raises:
            StoreError: there is no room.
        """

    @abstractmethod
    def finish(self) -> Path | None:
        """Keep the steps that were made, all of them or some. Returns where, None if nothing is kept."""

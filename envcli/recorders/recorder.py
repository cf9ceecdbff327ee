"""The contract of a recorder: where the rows of a rollout live, and what is left of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from envcli.errors import ConfigError
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.row_env import RowEnv

__all__ = ["Recorder", "Stream"]


class Stream(Protocol):
    """Memory for a rollout that is made piece by piece, and what keeps the pieces.

    :class:`~envcli.shards.shard_folder.ShardFolder` is one.
    """

    @property
    def shard_steps(self) -> int:
        """Steps of a piece, at most."""

    @property
    def replayed(self) -> int:
        """Steps that were kept by an earlier process, and are made once more."""

    def buffer(self, steps: int) -> RolloutBuffer:
        """Memory for the next steps. Raises StoreError where there is no room."""

    @property
    def steps(self) -> int:
        """Steps that are kept by now."""

    def keep(self, buffer: RolloutBuffer, stopped: bool = False) -> None:
        """The filled rows of ``buffer`` are the next steps, and the last ones if the rollout was ``stopped`` in them.

        Raises StoreError where they cannot be kept.
        """

    def finish(self, finished: bool = True) -> Path | None:
        """The rollout is over, by itself or not. Returns where it is kept, None if nothing is."""


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

    def stream(self, env: RowEnv, steps: int, shard_steps: int | None = None, resume: bool = False) -> Stream:
        """Memory for ``steps`` steps that are made piece by piece, of ``shard_steps`` each; None: as many as suit it.

        ``resume``: go on with what is there. A recorder that keeps rollouts whole need not offer this.

        Raises:
            StoreError: it cannot be kept there.
            ConfigError: it cannot be kept in pieces.
        """
        raise ConfigError(
            f"{type(self).__name__} keeps a rollout in one piece. Type max_steps=... instead of total_steps=..."
        )

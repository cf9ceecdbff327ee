"""Keeps nothing."""

from __future__ import annotations

from envcli.errors import ConfigError
from envcli.memory.buffer import RolloutBuffer
from envcli.recorders.recorder import Recorder
from envcli.rows.row_env import RowEnv

_STEPS = 2**16  # of a piece

__all__ = ["NoneRecorder"]


class NoneRecorder(Recorder):
    """The rollout lives in ordinary memory, and is gone with the process."""

    def buffer(self, env: RowEnv, steps: int) -> RolloutBuffer:
        """See :class:`Recorder`."""
        self._buffer = env._buffer(steps)
        return self._buffer

    def finish(self) -> None:
        """See :class:`Recorder`."""
        return None

    def stream(self, env: RowEnv, steps: int, shard_steps: int | None = None, resume: bool = False) -> _Passing:
        """See :class:`Recorder`. Every piece is made in the same memory."""
        if resume:
            raise ConfigError("resume: recorder=none keeps nothing to resume from")
        return _Passing(env, min(steps, shard_steps or _STEPS))


class _Passing:
    """One piece of memory that each piece of the rollout is written into, over the one before.

    ``steps`` are right whenever a Ctrl-C falls: those of the piece that is under way are told by its memory.
    """

    replayed = 0

    def __init__(self, env: RowEnv, shard_steps: int) -> None:
        self.shard_steps = shard_steps
        self._before = 0  # steps of the pieces before the one in memory
        self._buffer = env._buffer(shard_steps)

    @property
    def steps(self) -> int:
        return self._before + self._buffer.filled

    def buffer(self, steps: int) -> RolloutBuffer:
        memory = self._buffer
        used, before = max(memory.used, memory.filled), self.steps
        self._before, memory.used, memory.filled = before, used, 0  # without a call, so that no signal falls between
        return memory

    def keep(self, buffer: RolloutBuffer, stopped: bool = False) -> None:
        pass

    def finish(self, finished: bool = True) -> None:
        return None

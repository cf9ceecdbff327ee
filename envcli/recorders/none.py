"""Keeps nothing."""

from __future__ import annotations

from envcli.buffer import RolloutBuffer
from envcli.recorders.recorder import Recorder
from envcli.row_env import RowEnv

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

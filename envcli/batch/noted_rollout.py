"""A rollout of one env of a share, which others watch."""

from __future__ import annotations

from envcli.batch.phases import RESETTING, STEPPING
from envcli.envs.env import Env
from envcli.envs.rollout import Rollout
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.note import HALT, PHASE, ROW, Note

__all__ = ["NotedRollout"]


class NotedRollout(Rollout):
    """A rollout that notes which row it is in, and when in a reset, and leaves off when it is noted to halt."""

    def __init__(self, env: Env, buffer: RolloutBuffer, steps: int, note: Note) -> None:
        super().__init__(env, buffer, steps)
        self._note = note
        env._note_in(note)

    def _row(self, t: int) -> None:
        self._note[ROW] = t
        super()._row(t)

    def _is_halted(self) -> bool:
        return bool(self._note[HALT])

    def _episode_over(self, t: int) -> bool:
        self._note[PHASE], self._note[ROW] = RESETTING, t + 1
        over = super()._episode_over(t)
        self._note[PHASE] = STEPPING
        return over

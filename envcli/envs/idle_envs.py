"""What rows show of the envs of a batch that make no step while others do."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from envcli.keys import Key, under_next
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.carry_over import carried_over
from envcli.rows.row_env import RowEnv

__all__ = ["IdleEnvs"]


class IdleEnvs:
    """For them, a step repeats what the root shows, flags included, and nothing is earned.

    Args:
        env: the batch, or one env of it.
        buffer: the rows of the batch.
        but: entries that are left as they are.
    """

    def __init__(self, env: RowEnv, buffer: RolloutBuffer, but: Set[Key] = frozenset()) -> None:
        but = but | env._roles().reset_markers  # no step leads to a reset
        moves = carried_over(env, buffer) | {path: under_next(path) for path in env.full_done_spec.leaves()}
        self._kept = [
            (buffer.array(source), buffer.array(path))
            for path, source in moves.items()
            if source != path and path not in but
        ]
        self._rewards = [buffer.array(under_next(path)) for path in env.full_reward_spec.leaves()]

    def write(self, t: int, where: Any) -> None:
        """Next ``[t]`` of the envs ``where``: a mask ``[*batch]``, or the place of one."""
        for following, root in self._kept:
            following[t][where] = root[t][where]
        for rewards in self._rewards:
            rewards[t][where] = 0

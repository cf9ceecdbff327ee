"""What is written for an env whose simulator died with its worker."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from envcli.envs.env import Env
from envcli.envs.idle_envs import IdleEnvs
from envcli.keys import Key, under_next
from envcli.memory.buffer import RolloutBuffer, as_array

__all__ = ["LostEnvs"]


class LostEnvs:
    """The end of the episodes of lost envs, in the rows of a share.

    Args:
        env: one of the share.
        buffer: the rows of the share, ``[time, n, *batch, *value]``.
        restarted: the flags that say of a row that its env was lost there.
    """

    def __init__(self, env: Env, buffer: RolloutBuffer, restarted: Mapping[Key, torch.Tensor]) -> None:
        flags = env.full_done_spec.leaves()
        self._flags = [buffer.array(under_next(path)) for path in flags]
        self._up = [buffer.array(under_next(path)) for path in flags if path[-1] in ("done", "truncated")]
        self._up += [as_array(rows) for rows in restarted.values()]
        self._idle = IdleEnvs(env, buffer, but=env._roles().recurrent)

    def write(self, i: int, t: int) -> None:
        """The step ``t`` that env ``i`` never made: nothing moved, nothing was earned, and the episode is cut."""
        self._idle.write(t, i)
        for flags in self._flags:
            flags[t, i] = False
        for flags in self._up:
            flags[t, i] = True

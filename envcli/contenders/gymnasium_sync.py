"""Gymnasium's vector env in one process."""

from __future__ import annotations

from envcli.bench.workload import Workload
from envcli.contenders.gym_task import gym_actions, task_of
from envcli.contenders.vector_contender import VectorContender

__all__ = ["GymnasiumSyncContender"]


class GymnasiumSyncContender(VectorContender):
    """``gymnasium.vector.SyncVectorEnv``: the envs one after the other in one process.

    The same: envs, options, frame skip, pixels and, if they can be known, actions; an env is reset in the step
    that ends its episode, so no step is lost. Not the same: only the last observations are stored, of which each step
    returns a copy (gymnasium's default); it steps in a loop, never in whole rollouts; no transforms.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        envs = SyncVectorEnv([task_of(work)] * work.envs, autoreset_mode=AutoresetMode.SAME_STEP)
        envs.reset(seed=work.seed)
        self._take(envs, gym_actions(work, self.given_actions(), envs.single_action_space))

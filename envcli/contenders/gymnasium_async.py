"""Gymnasium's vector env in processes."""

from __future__ import annotations

from envcli.bench.workload import Workload
from envcli.contenders.gym_task import gym_actions, task_of
from envcli.contenders.vector_contender import VectorContender

__all__ = ["GymnasiumAsyncContender"]


class GymnasiumAsyncContender(VectorContender):
    """``gymnasium.vector.AsyncVectorEnv``: a process for each env, observations in shared memory (its defaults).

    The same: envs, options, frame skip, pixels and, where they can be known, actions; an episode that ends begins anew
    in the same step. Not the same: nothing is stored but the last observations, which each step hands out as a copy; it
    steps in a loop; a process per env, for that is how it works, whatever ``num_workers`` says; no transforms.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode

        envs = AsyncVectorEnv([task_of(work)] * work.envs, autoreset_mode=AutoresetMode.SAME_STEP)
        envs.reset(seed=work.seed)
        self._take(envs, gym_actions(work, self.given_actions(), envs.single_action_space))

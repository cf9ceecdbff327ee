"""Gymnasium's vector env in processes."""

from __future__ import annotations

from envcli.bench.workload import Workload
from envcli.contenders.gym_task import gym_actions, task_of
from envcli.contenders.vector_contender import VectorContender

__all__ = ["GymnasiumAsyncContender"]


class GymnasiumAsyncContender(VectorContender):
    """``gymnasium.vector.AsyncVectorEnv``: a process for each env, observations in shared memory (its defaults).

    The same: envs, options, frame skip, pixels and, if they can be known, actions; an env is reset in the step
    that ends its episode. Not the same: only the last observations are stored, of which each step returns a copy; it
    steps in a loop; it has a process for each env, whatever ``num_workers`` says; no transforms.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode

        envs = AsyncVectorEnv([task_of(work)] * work.envs, autoreset_mode=AutoresetMode.SAME_STEP)
        envs.reset(seed=work.seed)
        self._take(envs, gym_actions(work, self.given_actions(), envs.single_action_space))

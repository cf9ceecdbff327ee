"""Gymnasium's vector env in one process."""

from __future__ import annotations

from envcli.bench.workload import Workload
from envcli.contenders.contender import Contender
from envcli.contenders.gym_task import gym_actions, task_of

__all__ = ["GymnasiumSyncContender"]


class GymnasiumSyncContender(Contender):
    """``gymnasium.vector.SyncVectorEnv``: the envs one after the other in one process.

    The same: envs, options, frame skip, pixels and, where they can be known, actions; an episode that ends begins anew
    in the same step, so no step is lost. Not the same: nothing is stored but the last observations, which each step
    hands out as a copy (gymnasium's default); it steps in a loop, never in whole rollouts; no transforms.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        from gymnasium.vector import AutoresetMode, SyncVectorEnv

        self._envs = SyncVectorEnv([task_of(work)] * work.envs, autoreset_mode=AutoresetMode.SAME_STEP)
        self._envs.reset(seed=work.seed)
        numbers = gym_actions(work, self.given_actions(), self._envs.single_action_space)
        self._actions = list(numbers.swapaxes(0, 1))

    def run(self) -> None:
        """A loop over ``step``."""
        self._envs.reset()
        step = self._envs.step
        for actions in self._actions:
            step(actions)

    def close(self) -> None:
        """Close the envs."""
        self._envs.close()

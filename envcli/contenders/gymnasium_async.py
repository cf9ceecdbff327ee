"""Gymnasium's vector env in processes."""

from __future__ import annotations

from envcli.bench.workload import Workload
from envcli.contenders.contender import Contender
from envcli.contenders.gym_task import gym_actions, task_of

__all__ = ["GymnasiumAsyncContender"]


class GymnasiumAsyncContender(Contender):
    """``gymnasium.vector.AsyncVectorEnv``: a process for each env, observations in shared memory (its defaults).

    The same: envs, options, frame skip, pixels and, where they can be known, actions; an episode that ends begins anew
    in the same step. Not the same: nothing is stored but the last observations, which each step hands out as a copy; it
    steps in a loop; a process per env, for that is how it works, whatever ``num_workers`` says; no transforms.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode

        self._envs = AsyncVectorEnv([task_of(work)] * work.envs, autoreset_mode=AutoresetMode.SAME_STEP)
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
        """Close the envs, and with them their processes."""
        self._envs.close()

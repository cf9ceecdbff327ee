"""Stable-Baselines3's vector envs."""

from __future__ import annotations

from typing import Any

from envcli.bench.workload import Workload
from envcli.contenders.contender import Contender
from envcli.contenders.gym_task import gym_actions, task_of
from envcli.errors import MissingDependency

__all__ = ["Sb3Contender"]


class Sb3Contender(Contender):
    """``SubprocVecEnv``, a process for each env, for ``parallel=processes``; ``DummyVecEnv``, in one process, else.

    The same: envs, options, frame skip, pixels and, where they can be known, actions; an episode that ends begins anew
    in the same step. Not the same: nothing is stored but the last observations; it steps in a loop; ``num_workers``
    does not apply; no transforms, and no ``Monitor``.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        task = task_of(work)
        try:
            from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
        except ModuleNotFoundError as error:
            raise MissingDependency("stable-baselines3", "peers=[sb3]", "peers") from error
        vector = SubprocVecEnv if work.kind == "processes" else DummyVecEnv
        self._envs: Any = vector([task] * work.envs)  # Any: it is there for some only
        self._envs.seed(work.seed)
        self._envs.reset()
        numbers = gym_actions(work, self.given_actions(), self._envs.action_space)
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

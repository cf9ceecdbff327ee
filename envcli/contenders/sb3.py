"""Stable-Baselines3's vector envs."""

from __future__ import annotations

from typing import Any

from envcli.bench.workload import Workload
from envcli.contenders.gym_task import gym_actions, task_of
from envcli.contenders.vector_contender import VectorContender
from envcli.errors import MissingDependency

__all__ = ["Sb3Contender"]


class Sb3Contender(VectorContender):
    """``SubprocVecEnv``, a process for each env, for ``parallel=processes``; ``DummyVecEnv``, in one process, else.

    The same: envs, options, frame skip, pixels and, if they can be known, actions; an env is reset in the step
    that ends its episode. Not the same: only the last observations are stored; it steps in a loop; ``num_workers`` does
    not apply; no transforms, and no ``Monitor``.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        task = task_of(work)
        try:
            from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
        except ModuleNotFoundError as error:
            raise MissingDependency("stable-baselines3", "peers=[sb3]", "peers") from error
        vector = SubprocVecEnv if work.kind == "processes" else DummyVecEnv
        envs: Any = vector([task] * work.envs)  # Any: it is there for some only
        envs.seed(work.seed)
        envs.reset()
        self._take(envs, gym_actions(work, self.given_actions(), envs.action_space))

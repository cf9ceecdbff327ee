"""The loop that everybody writes first, with which the contender ``native`` is itself compared."""

from __future__ import annotations

import gymnasium

from envcli.bench.workload import Workload
from envcli.contenders.contender import Contender, Unfit
from envcli.contenders.gym_task import gym_actions, task_of

__all__ = ["ByHandContender"]


class ByHandContender(Contender):
    """``gymnasium.make`` and a loop over ``env.step``, with nothing of ours in between.

    The same as ``native``, for gymnasium's envs: options, actions and resets. It shows that ``native`` costs no more
    than this, so it has neither pixels nor a frame skip.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        task = task_of(work)
        if work.backend.get("type") != "gym" or task.from_pixels or task.repeat not in (None, 1):
            raise Unfit("by hand, only gymnasium's own step is written")
        self._env = gymnasium.make(task.name, **task.options)
        actions = gym_actions(work, self.given_actions(), self._env.action_space)[0]
        self._actions = actions.tolist() if actions.ndim == 1 and actions.dtype.kind == "i" else list(actions)
        self._env.reset(seed=work.seed)

    @property
    def env_steps(self) -> int:
        """The steps of one env."""
        return self.work.steps

    def run(self) -> None:
        """The loop."""
        env = self._env
        env.reset()
        for action in self._actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    def close(self) -> None:
        """Close the env."""
        self._env.close()

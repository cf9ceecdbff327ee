"""Gymnasium's own vector envs: one program that steps all of them at once."""

from __future__ import annotations

from envcli.bench.workload import Workload
from envcli.contenders.contender import Unfit
from envcli.contenders.gym_task import gym_actions, task_of
from envcli.contenders.vector_contender import VectorContender

__all__ = ["GymnasiumVectorContender"]


class GymnasiumVectorContender(VectorContender):
    """``gymnasium.make_vec(name, vectorization_mode="vector_entry_point")``, for the few envs that have one.

    The same: task, options, number of envs and, where they can be known, actions. Not the same: the simulator is
    another program, which computes all envs in one array operation, on one core whatever ``num_workers`` says; an
    episode that ends begins anew with a step of its own, which is counted; nothing is stored but the last observations;
    it steps in a loop. It has no pixels, no frame skip and no transforms.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        import gymnasium

        task = task_of(work)
        if task.from_pixels or task.repeat not in (None, 1):
            raise Unfit("gymnasium's own vector envs have no pixels and no frame skip")
        if task.name not in gymnasium.registry or gymnasium.spec(task.name).vector_entry_point is None:
            raise Unfit(f"gymnasium has no vector env of its own for {task.name}")
        envs = gymnasium.make_vec(task.name, work.envs, "vector_entry_point", **task.options)
        envs.reset(seed=work.seed)
        self._take(envs, gym_actions(work, self.given_actions(), envs.single_action_space))

"""envcli step by step, as with a policy."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase

from envcli.bench.workload import Workload
from envcli.contenders.contender import Array
from envcli.contenders.our_contender import OurContender

__all__ = ["EnvcliStepContender"]


class EnvcliStepContender(OurContender):
    """envcli with a policy: each action is known only when its step is due, so workers get one message per step.

    Everything is stored, as in a rollout. The policy costs only its call: it sets actions that were drawn when it was
    built, which are checked like those of any policy. Peers that step in a loop do the same work, but store nothing.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        torch.manual_seed(work.seed)
        drawn = self._env.rollout(work.steps, break_when_any_done=False).select(*self._env.action_keys)
        self._drawn, self._time = drawn, len(self._env.batch_size)
        self._policy = _Known(drawn, self._time)
        self._env.set_seed(work.seed)

    def run(self) -> None:
        """One rollout with the policy."""
        self._policy.t = 0
        self._env.rollout(self.work.steps, self._policy, break_when_any_done=False)

    def actions(self) -> Array | None:
        """The actions of the policy."""
        return self._as_numbers(self._drawn)


class _Known:
    """A policy that has its actions beforehand."""

    in_keys = ()  # it reads no entries

    def __init__(self, drawn: TensorDictBase, time: int) -> None:
        self._rows = {key: drawn[key].unbind(time) for key in drawn.keys(True, True)}
        self.t = 0

    def __call__(self, td: TensorDictBase) -> TensorDictBase:
        for key, rows in self._rows.items():
            td.set(key, rows[self.t])
        self.t += 1
        return td

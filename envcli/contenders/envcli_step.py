"""envcli step by step, as with a policy."""

from __future__ import annotations

import torch

from envcli.bench.workload import Workload
from envcli.contenders.contender import Array
from envcli.contenders.our_contender import OurContender
from envcli.envs.given_actions import GivenActions

__all__ = ["EnvcliStepContender"]


class EnvcliStepContender(OurContender):
    """envcli with a policy: each action is known only when its step is due, so workers get one message per step.

    Everything is stored, as in a rollout. The policy costs only its call: it sets actions that were drawn when it was
    built, which are checked like those of any policy. Peers that step in a loop do the same work, but store nothing.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        torch.manual_seed(work.seed)
        self._drawn = self._env.rollout(work.steps, break_when_any_done=False).select(*self._env.action_keys)
        self._rows = {key: self._drawn[key].unbind(self._env.ndim) for key in self._env.action_keys}
        self._env.set_seed(work.seed)

    def run(self) -> None:
        """One rollout with the policy."""
        self._env.rollout(self.work.steps, GivenActions(self._rows), break_when_any_done=False)

    def actions(self) -> Array | None:
        """The actions of the policy."""
        return self._as_numbers(self._drawn)

"""envcli in whole rollouts."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase

from envcli.bench.workload import Workload
from envcli.contenders.contender import Array
from envcli.contenders.our_contender import OurContender
from envcli.vocabulary import registry

__all__ = ["EnvcliContender"]


class EnvcliContender(OurContender):
    """envcli as the YAML describes it, in whole rollouts: one env, serial or in processes.

    A pass is one ``env.rollout``. Everything is done and stored: observation, action, reward and flags of each step, in
    memory that the rollout returns; nothing is written to disk. Random actions are known beforehand: torch draws them
    within the measured time, the same ones in each pass, and workers get one message per rollout. Any other policy is
    called in each step, within the measured time; the peers replay its actions at no cost.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        node, imports = work.cfg.get("policy") or {"type": "random"}, bool(work.cfg.get("allow_imports"))
        self._policy = registry.construct("policies", node, "policy", imports).bind(self._env)
        self._env.reset()

    def run(self) -> None:
        """One rollout."""
        self._rollout()

    def actions(self) -> Array | None:
        """The actions of every rollout."""
        found = self._as_numbers(self._rollout())
        self._env.set_seed(self.work.seed)
        return found

    def _rollout(self) -> TensorDictBase:
        torch.manual_seed(self.work.seed)
        return self._env.rollout(self.work.steps, self._policy, break_when_any_done=False)

"""Ourselves: what the YAML describes, in whole rollouts."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase

from envcli.bench.workload import Workload
from envcli.builder import build, frames_per_step
from envcli.contenders.contender import Array, Contender
from envcli.specs import OneHot
from envcli.vocabulary import registry

__all__ = ["EnvcliContender"]


class EnvcliContender(Contender):
    """envcli as the YAML describes it, in whole rollouts: one env, serial or in processes.

    A pass is one ``env.rollout``. Everything is done and stored: observation, action, reward and flags of each step, in
    memory that the rollout hands out; nothing is written to disk. Random actions are known beforehand: torch draws them
    inside the measured time, the same ones in each pass, and workers get one message per rollout. Any other policy is
    called, and paid for, in each step; the peers act as it did when it was asked, at no cost.
    """

    takes_different_envs = True

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        self._env = build({**work.cfg, "seed": work.seed})
        node, imports = work.cfg.get("policy") or {"type": "random"}, bool(work.cfg.get("allow_imports"))
        self._policy = registry.construct("policies", node, "policy", imports).bind(self._env)
        self._env.reset()

    def run(self) -> None:
        """One rollout."""
        self._rollout()

    @property
    def frames_per_step(self) -> int | None:
        """As the env says it."""
        return self.work.frames_of(frames_per_step(self._env))

    def actions(self) -> Array | None:
        """Those of every rollout, as numbers where they are one-hot; None where a dict of them is taken."""
        if list(self._env.action_keys) != ["action"]:
            return None
        taken = self._rollout()["action"]
        if isinstance(self._env.full_action_spec["action"], OneHot):
            taken = taken.argmax(-1)
        self._env.set_seed(self.work.seed)
        found: Array = taken.numpy(force=True)
        return found if self._env.batch_size else found[None]

    def _rollout(self) -> TensorDictBase:
        torch.manual_seed(self.work.seed)
        return self._env.rollout(self.work.steps, self._policy, break_when_any_done=False)

    def close(self) -> None:
        """Close the env."""
        self._env.close()

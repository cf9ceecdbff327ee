"""What the contenders have in common that run an env of ours."""

from __future__ import annotations

from abc import ABC

import torch
from tensordict import TensorDictBase

from envcli.bench.workload import Workload
from envcli.builder import build, frames_per_step
from envcli.contenders.contender import Array, Contender
from envcli.specs import OneHot

__all__ = ["OurContender"]


class OurContender(Contender, ABC):
    """The env that the YAML describes, as ``_env``. A subclass writes ``run``, and ``actions``."""

    takes_different_envs = True

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        self._env = build({**work.cfg, "seed": work.seed})

    @property
    def envs(self) -> int:
        """As the env says it: one of somebody's own may be a batch by itself."""
        return self._env.numel()

    @property
    def frames_per_step(self) -> int | None:
        """As the env says it."""
        return frames_per_step(self._env)

    def _as_numbers(self, rollout: TensorDictBase) -> Array | None:
        """Its actions ``[batch, time, ...]``, numbers where they are one-hot; None where a dict of them is taken."""
        if list(self._env.action_keys) != ["action"]:
            return None
        taken = rollout["action"]
        if isinstance(self._env.full_action_spec["action"], OneHot):
            taken = (taken.to(torch.uint8) if taken.dtype == torch.bool else taken).argmax(-1)
        found: Array = taken.numpy(force=True)
        return found if self._env.batch_size else found[None]

    def close(self) -> None:
        """Close the env."""
        self._env.close()

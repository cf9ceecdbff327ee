"""The base of contenders that run an env of envcli."""

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
    """Builds the env that the YAML describes, ``_env``. A subclass writes ``run`` and ``actions``."""

    takes_different_envs = True

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        self._env = build({**work.cfg, "seed": work.seed})

    @property
    def envs(self) -> int:
        """The number of envs, as the env says: a user's own may be a batch by itself."""
        return self._env.numel()

    @property
    def frames_per_step(self) -> int | None:
        """Simulator frames in a step, as the env says."""
        return frames_per_step(self._env)

    def _as_numbers(self, rollout: TensorDictBase) -> Array | None:
        """The actions ``[batch, time, ...]``, as numbers if they are one-hot; None if the env takes a dict of them."""
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

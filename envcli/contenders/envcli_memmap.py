"""envcli with the rollout in files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from tensordict import TensorDictBase

from envcli.bench.workload import Workload
from envcli.contenders.envcli import EnvcliContender
from envcli.vocabulary import registry

__all__ = ["EnvcliMemmapContender"]


class EnvcliMemmapContender(EnvcliContender):
    """As ``envcli``, each rollout written straight into memory-mapped files, as ``envcli rollout`` keeps it.

    A pass makes, fills and finishes the files, and removes those of the pass before. They are in the folder for
    temporary files; whether they reach the disk meanwhile is up to the kernel.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        self._folder = Path(tempfile.mkdtemp(prefix="envcli-bench-"))

    def _rollout(self) -> TensorDictBase:
        torch.manual_seed(self.work.seed)
        place = self._folder / "rollout"
        shutil.rmtree(place, ignore_errors=True)
        recorder = registry.construct("recorders", {"type": "memmap"}, "recorder", folder=place)
        rows = recorder.buffer(self._env, self.work.steps)
        made = self._env.rollout(self.work.steps, self._policy, break_when_any_done=False, out=rows)
        recorder.finish()
        return made

    def close(self) -> None:
        """Close the env, and remove the files."""
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)

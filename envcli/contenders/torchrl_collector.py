"""TorchRL's collector, from which its training loops get their data."""

from __future__ import annotations

from typing import Any

from envcli.bench.workload import Workload
from envcli.contenders.torchrl import TorchrlContender

__all__ = ["TorchrlCollectorContender"]


class TorchrlCollectorContender(TorchrlContender):
    """``torchrl.collectors.Collector`` (``SyncDataCollector`` before 0.14) over the envs of the contender ``torchrl``.

    The same as there, and: a pass is one batch of the collector, of as many frames as the pass has env steps, in memory
    that it uses again for the next one. Not the same: an episode that is under way goes on in the next pass, where
    others begin with a reset; each step is marked with the number of its episode.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        import torchrl.collectors

        kind = getattr(torchrl.collectors, "Collector", None) or torchrl.collectors.SyncDataCollector
        made: Any = kind(self._env, policy=None, frames_per_batch=self.env_steps, total_frames=-1)  # Any: see torchrl
        self._collector = made
        self._batches = iter(made)
        self.run()  # starts the first episodes

    def run(self) -> None:
        """One batch."""
        next(self._batches)

    def close(self) -> None:
        """Shut it down, and the envs with it."""
        self._batches.close()
        self._collector.shutdown()

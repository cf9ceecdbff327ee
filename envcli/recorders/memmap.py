"""Keeps a rollout in memory-mapped files."""

from __future__ import annotations

from pathlib import Path

from envcli.memory.buffer import RolloutBuffer
from envcli.recorders.recorder import Recorder
from envcli.rows.row_env import RowEnv
from envcli.shards.memmap_folder import MemmapFolder
from envcli.shards.shard_folder import ShardFolder

__all__ = ["MemmapRecorder"]


class MemmapRecorder(Recorder):
    """The rollout is written straight into files that ``envcli.load_rollout`` and ``TensorDict.load_memmap`` read."""

    def buffer(self, env: RowEnv, steps: int) -> RolloutBuffer:
        """See :class:`Recorder`. The files take the room of all ``steps`` at once; what is not used is given back."""
        self._folder = MemmapFolder(self.folder)
        self._buffer = self._folder.allocate(env._row_layout(), steps, env.batch_size)
        return self._buffer

    def finish(self) -> Path | None:
        """See :class:`Recorder`. Without a single step nothing is left of the folder."""
        if self._buffer is None:
            return None
        if self._buffer.filled == 0:
            self._folder.discard()
            return None
        return self._folder.finish(self._buffer)

    def stream(self, env: RowEnv, steps: int, shard_steps: int | None = None, resume: bool = False) -> ShardFolder:
        """See :class:`Recorder`. A shard is written straight into its files; when it is whole, the next one begins."""
        return ShardFolder(
            self.folder,
            env._row_layout(),
            env.batch_size,
            planned=steps,
            shard_steps=shard_steps,
            resume=resume,
            place=env._row_memory.place(),
            parts=env._group_parts(),
        )

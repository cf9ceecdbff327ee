"""Rows on their way from where envs made them into the memory of a rollout."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import torch

from envcli.keys import Key, under_next
from envcli.memory.buffer import Array, RolloutBuffer

__all__ = ["RowChunk"]


class RowChunk(NamedTuple):
    """Rows of a share of the envs, from one row of the rollout on.

    What the next row begins with is, but for new episodes, what the last one led to, and is not sent twice.

    Attributes:
        rows: path -> ``[rows, n, *batch, *value]``.
        starts: the root entries of new episodes, path -> ``[begun, *value]``.
        where: ``[rows, n, *batch]`` bool: which they are of, from the second row on.
        dtypes: of the entries that no spec announced.
    """

    rows: dict[Key, Array]
    starts: dict[Key, Array]
    where: Array
    dtypes: dict[Key, torch.dtype]

    @classmethod
    def of_root(cls, buffer: RolloutBuffer, paths: Collection[Key]) -> RowChunk:
        """The first row of ``buffer``, of these root entries."""
        return cls({path: buffer.array(path)[:1] for path in paths}, {}, np.zeros(0, dtype=bool), {})

    @classmethod
    def of_steps(
        cls,
        buffer: RolloutBuffer,
        count: int,
        onward: bool,
        made: Collection[Key],
        shown: Collection[Key],
        done: Collection[Key],
    ) -> RowChunk:
        """The first ``count`` rows of ``buffer``, and ``onward`` what the row after them begins with.

        Args:
            made: root entries that are wanted in these rows: what the steps left there.
            shown: root entries that a step leads to, or a new episode begins with.
            done: the flags, under ``next``, that end an episode.
        """
        rows = {path: buffer.array(path)[:count] for path in buffer if path[0] == "next"}
        rows |= {path: buffer.array(path)[:count] for path in made}
        stop = count - (not onward)
        where = np.zeros((stop, *buffer.batch_size), dtype=bool)
        for path in done:
            flags = buffer.array(path)[:stop]
            where |= flags.any(axis=tuple(range(where.ndim, flags.ndim)))
        starts = {}
        for path in shown:
            root = buffer.array(path)[1 : stop + 1]
            if under_next(path) in buffer:
                starts[path] = root[where]
            else:
                rows[path] = buffer.array(path)[: stop + 1]
        return cls(rows, starts, where, {})

    def unpack(self, buffer: RolloutBuffer, t: int, envs: range) -> None:
        """Write into ``buffer``, from row ``t`` on, for the ``envs`` of its batch."""
        ours = slice(envs.start, envs.stop)
        for path, rows in self.rows.items():
            if path not in buffer:
                buffer.add(path, torch.zeros(buffer.batch_size[0], *rows.shape[2:], dtype=self.dtypes[path]))
            buffer.array(path)[t : t + len(rows), ours] = rows
        for path, values in self.starts.items():
            root = self.rows[under_next(path)][: len(self.where)].copy()
            root[self.where] = values
            buffer.array(path)[t + 1 : t + 1 + len(root), ours] = root

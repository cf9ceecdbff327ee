"""Apache Parquet, a table with a row for each step."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from envcli.errors import MissingDependency
from envcli.exports.export import BLOCK, Export, literal, spelt, trajectories
from envcli.keys import Key
from envcli.memory.buffer import Array
from envcli.shards.sharded_rollout import ShardedRollout

__all__ = ["ParquetExport"]

_PLACES = ("env", "episode", "step")  # columns of our own
_PARTS = 500  # tables: each takes 14 kB besides its rows


class ParquetExport(Export):
    """``rollout.parquet``: ``env``, ``episode`` and ``step``, and a column for each entry, its key with dots between.

    Env after env, in order of time; ``env`` counts through a batch of several dimensions, ``episode`` and ``step``
    through the episodes of an env and the steps of an episode, from 0. An entry of one number a step is a plain column,
    any other a list of fixed length (of none, an empty list), whose shape is in the file's metadata under ``envcli``. A
    dot within a key is written ``%2E``; an entry that is itself called ``env``, ``episode`` or ``step`` has a dot
    before its name.
    """

    suffix = ".parquet"

    def write(self, data: ShardedRollout, path: Path) -> None:
        """See :class:`Export`."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingDependency("pyarrow", "format=parquet", extra="data") from None
        lead = len(data.manifest.batch_size)
        shapes = {_name(entry.key): list(entry.shape[lead:]) for entry in data.manifest.entries}
        about = {"envcli": json.dumps({**self.about, "shapes": shapes})}
        place = path.absolute()  # what stands before a colon would be taken for a protocol
        writer, parts, size = None, [], 0
        try:
            for columns in _tables(data):
                arrays = {name: _column(pyarrow, values) for name, values in columns.items()}
                parts.append(pyarrow.table(arrays).replace_schema_metadata(about))
                size += parts[-1].nbytes
                writer = writer or pyarrow.parquet.ParquetWriter(place, parts[0].schema)
                if size >= BLOCK or len(parts) >= _PARTS:  # a group of rows: to begin one takes 5 ms
                    writer.write_table(pyarrow.concat_tables(parts))
                    parts, size = [], 0
            if writer is not None and parts:
                writer.write_table(pyarrow.concat_tables(parts))
        finally:
            if writer is not None:
                writer.close()

    def cure(self, path: Path) -> str:
        """See :class:`Export`."""
        return f"pyarrow.parquet.read_table({literal(path)})"


def _tables(data: ShardedRollout) -> Iterator[dict[str, Array]]:
    """Name of a column -> ``[time, *value]`` for some steps of one env, env after env."""
    for number, (_, windows) in enumerate(trajectories(data)):
        episode = step = 0
        for window in windows:
            places = _places(window[("next", "done")], episode, step)
            episode, step = places.pop("following")
            yield {"env": np.full(len(places["step"]), number, np.int32), **places, **_named(window)}


def _places(done: Array, episode: int, step: int) -> dict[str, Any]:
    """``episode`` and ``step`` of each row, and under ``following`` those of the row after the last."""
    ends: Array = np.any(done.reshape(len(done), -1), axis=-1)
    begins = np.concatenate([[0], np.flatnonzero(ends) + 1])
    episodes = np.cumsum(np.concatenate([[False], ends[:-1]])) + episode
    rows = np.arange(len(ends))
    steps = rows - begins[np.searchsorted(begins, rows, "right") - 1]
    steps[: begins[1] if len(begins) > 1 else len(steps)] += step
    following = (int(episodes[-1]) + 1, 0) if ends[-1] else (int(episodes[-1]), int(steps[-1]) + 1)
    return {"episode": episodes.astype(np.int64), "step": steps.astype(np.int64), "following": following}


def _named(window: Mapping[Key, Array]) -> dict[str, Array]:
    return {_name(key): values for key, values in window.items()}


def _name(key: Key) -> str:
    name = spelt(key, ".")
    return f".{name}" if name in _PLACES else name


def _column(pyarrow: Any, values: Array) -> Any:  # Any: pyarrow has no annotations
    width = math.prod(values.shape[1:])
    flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
    if not width:  # which a list of fixed length cannot have
        return pyarrow.ListArray.from_arrays(np.zeros(len(values) + 1, np.int32), flat)
    return flat if width == 1 else pyarrow.FixedSizeListArray.from_arrays(flat, width)

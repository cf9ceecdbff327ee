"""NumPy's own archive."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from envcli.exports.export import Export, literal, numbers, spelt, telling, trajectories
from envcli.keys import Key
from envcli.shards.entry import Entry
from envcli.shards.sharded_rollout import ShardedRollout

__all__ = ["NpzExport"]


class NpzExport(Export):
    """``rollout.npz``: an array ``[*batch, time, *value]`` for each entry, under its key with slashes between.

    ``np.load("rollout.npz")["next/observation"]``. A slash within a key is written ``%2F``, as in HDF5. Not compressed:
    that takes sixty times as long.
    """

    suffix = ".npz"

    def write(self, data: ShardedRollout, path: Path) -> None:
        """See :class:`Export`."""
        self._example = telling(data)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for entry in data.manifest.entries:
                with archive.open(f"{_name(entry.key)}.npy", "w", force_zip64=True) as stream:
                    np.lib.format.write_array_header_1_0(stream, _header(data, entry))
                    for _, parts in trajectories(data, entry):
                        for part in parts:
                            stream.write(np.ascontiguousarray(part[entry.key]).data)

    def cure(self, path: Path) -> str:
        """See :class:`Export`."""
        return f"np.load({literal(path)})[{literal(_name(self._example))}]"


def _name(key: Key) -> str:
    name = spelt(key, "/")
    return f"{name[:-4]}%2Enpy" if name.endswith(".npy") else name  # np.load takes one such end off


def _header(data: ShardedRollout, entry: Entry) -> dict[str, Any]:  # Any: what numpy's format takes
    lead = len(data.manifest.batch_size)
    shape = (*data.batch_size, *entry.shape[lead:])
    kind = numbers(data.manifest.rows(data.folder, data.manifest.shards[0], entry)[:1]).dtype
    return {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}

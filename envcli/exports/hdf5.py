"""HDF5."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from envcli.errors import MissingDependency
from envcli.exports.export import Export, literal, numbers, require_room, telling, windows
from envcli.shards.entry import file_name
from envcli.shards.sharded_rollout import ShardedRollout

__all__ = ["Hdf5Export"]

_MORE = 2**20  # bytes, that the file takes besides the rows, and some


class Hdf5Export(Export):
    """``rollout.h5``: a dataset ``[*batch, time, *value]`` for each entry, nested keys as groups.

    The attributes of the file say what ran. A slash within a key is written ``%2F``.
    """

    suffix = ".h5"

    def write(self, data: ShardedRollout, path: Path) -> None:
        """See :class:`Export`."""
        try:
            import h5py
        except ImportError:
            raise MissingDependency("h5py", "format=hdf5", extra="data") from None
        self._example = telling(data)
        manifest, lead = data.manifest, len(data.manifest.batch_size)
        kinds = {e: numbers(manifest.rows(data.folder, manifest.shards[0], e)[:1]).dtype for e in manifest.entries}
        row = sum(math.prod(entry.shape) * kind.itemsize for entry, kind in kinds.items())
        require_room(path, manifest.steps * row + _MORE)
        with h5py.File(path, "x") as file:
            file.attrs.update({name: str(value) for name, value in self.about.items()})
            for entry, kind in kinds.items():
                shape = (*data.batch_size, *entry.shape[lead:])
                rows = file.create_dataset("/".join(map(file_name, entry.key)), shape, kind)
                start = 0
                for block in windows(data, entry):
                    if block.size:  # all envs at once: h5py takes 0.3 ms to find a place
                        rows[(*[slice(None)] * lead, slice(start, start + len(block)))] = np.moveaxis(block, 0, lead)
                    start += len(block)

    def cure(self, path: Path) -> str:
        """See :class:`Export`."""
        return f"h5py.File({literal(path)})[{literal('/'.join(map(file_name, self._example)))}]"

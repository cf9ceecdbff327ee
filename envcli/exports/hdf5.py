"""HDF5."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from envcli.errors import MissingDependency
from envcli.exports.export import Export, literal, numbers, telling, windows
from envcli.shards.entry import file_name
from envcli.shards.sharded_rollout import ShardedRollout

__all__ = ["Hdf5Export"]


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
        with h5py.File(path, "x") as file:
            file.attrs.update({name: str(value) for name, value in self.about.items()})
            for entry in manifest.entries:
                kind = numbers(manifest.rows(data.folder, manifest.shards[0], entry)[:1]).dtype
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

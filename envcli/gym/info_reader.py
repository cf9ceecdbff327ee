"""Entries of a simulator's ``info`` as observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from envcli.errors import SpecError
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Composite, TensorSpec, Unbounded

__all__ = ["InfoReader", "default_info_dict_reader"]


class InfoReader:
    """Reads some keys of the ``info`` dict that a simulator returns beside its observation.

    Args:
        keys: which.
        spec: what their values look like: key -> spec, or one spec for each key in order; None: a float32 scalar each.

    Raises:
        SpecError: a key without a spec.
    """

    def __init__(
        self, keys: Sequence[str], spec: Mapping[str, TensorSpec] | Sequence[TensorSpec] | Composite | None = None
    ) -> None:
        specs: dict[str, TensorSpec]
        if spec is None:
            specs = {key: Unbounded(torch.Size([])) for key in keys}
        elif isinstance(spec, Mapping | Composite):
            missing = [key for key in keys if key not in spec]
            if missing:
                raise SpecError(f"info reader: no spec for {missing}. Give one for each key: {list(keys)}")
            specs = {key: spec[key] for key in keys}
        else:
            specs = dict(zip(keys, spec, strict=True))
        self._keys = list(keys)
        self.info_spec = Composite(specs)

    @classmethod
    def of(cls, info: Mapping[str, Any], ignore_private: bool = True) -> Self:
        """Of all numbers and arrays of numbers in ``info``, with their shapes and dtypes; words are left out.

        ``ignore_private`` leaves out keys that begin with ``_`` too.
        """
        arrays = {key: np.asarray(value) for key, value in info.items() if not isinstance(value, Mapping)}
        specs = {
            key: Unbounded(torch.Size(array.shape), dtype=torch.from_numpy(np.empty_like(array)).dtype)
            for key, array in arrays.items()
            if array.dtype.kind in "biuf" and not (ignore_private and key.startswith("_"))
        }
        return cls(list(specs), specs)

    def writer(self, buffer: RolloutBuffer, prefix: tuple[str, ...]) -> Callable[[int, Mapping[str, Any]], None]:
        """``write(t, info)`` into the rows under ``prefix``. A key that ``info`` lacks is written as 0.

        Simulators leave keys out at a reset or between episodes, and a row must not show an older value then.
        """
        rows = [(key, buffer.array((*prefix, key))) for key in self._keys]

        def write(t: int, info: Mapping[str, Any]) -> None:
            for key, row in rows:
                row[t] = info.get(key, 0)

        return write


def default_info_dict_reader(
    keys: Sequence[str], spec: Mapping[str, TensorSpec] | Sequence[TensorSpec] | Composite | None = None
) -> InfoReader:
    """TorchRL's name for :class:`InfoReader`."""
    return InfoReader(keys, spec)

"""The infos of a batch: entries besides the observation, as gymnasium's vector envs give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envcli.adapters.entries import Entries
from envcli.keys import Key
from envcli.memory.buffer import Array

__all__ = ["VectorInfos"]

Infos = dict[str, Any]  # Any: arrays, and dicts of such


class VectorInfos:
    """Under each key the values of all envs, ``[n, ...]``, and under ``_key``, ``[n]`` bool, of which envs they are.

    Args:
        num_envs: how many.
        entries: key -> what is shown.
        rows: path -> ``[n, *value]``, where they stand.
    """

    def __init__(self, num_envs: int, entries: Mapping[str, Entries], rows: Mapping[Key, Array]) -> None:
        self._num_envs = num_envs
        self._readers = {key: entry.reader(rows) for key, entry in entries.items()}

    def read(self, where: Array | None = None) -> Infos:
        """The current infos of the envs in ``where``, ``[n]`` bool; None: of all. The others have zeros."""
        infos: Infos = {}
        for key, read in self._readers.items():
            _add(infos, key, read(), np.ones(self._num_envs, bool) if where is None else where)
        return infos

    def final(self, observations: Any, done: Array) -> Infos:
        """The last moment of the episodes of the envs in ``done``: ``"final_obs"`` and ``"final_info"``.

        ``observations``: of all envs, as :class:`~envcli.adapters.entries.Entries` read them.
        """
        each = np.full(self._num_envs, None, object)
        for i in np.flatnonzero(done).tolist():
            each[i] = _of_env(observations, i)
        return {"final_obs": each, "_final_obs": done.copy(), "final_info": self.read(done), "_final_info": done.copy()}


def _add(infos: Infos, key: str, value: Any, where: Array) -> None:
    if isinstance(value, tuple):
        value = {str(i): one for i, one in enumerate(value)}
    if isinstance(value, dict):
        infos[key] = {}
        for name, one in value.items():
            _add(infos[key], name, one, where)
    else:
        value[~where] = 0
        infos[key] = value
    infos[f"_{key}"] = where.copy()


def _of_env(value: Any, i: int) -> Any:
    if isinstance(value, dict):
        return {name: _of_env(one, i) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(_of_env(one, i) for one in value)
    return value[i].copy()

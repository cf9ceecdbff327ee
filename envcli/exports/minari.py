"""Minari, Farama's collection of offline data sets."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from envcli.errors import ConfigError, MissingDependency
from envcli.exports.export import Export, require_room, spelt, trajectories
from envcli.gym.spaces import spec_to_space
from envcli.keys import Key
from envcli.memory.buffer import Array
from envcli.shards.sharded_rollout import ShardedRollout
from envcli.specs import TensorSpec
from envcli.specs.hot import HotSpec
from envcli.typed_word import shell_word

__all__ = ["MinariExport"]

_HELD = 2**25  # bytes that HDF5 keeps back, at most, until it closes a file
_FILES = ("data/main_data.hdf5", "data/metadata.json")  # of a data set


class MinariExport(Export):
    """A data set that ``minari show`` describes and ``minari.load_dataset`` reads; ``to`` is the folder of all of them.

    One episode after the other, env by env, with the observation that each of them ended in. One that the rollout cut
    off ends truncated. One-hot actions become numbers, and these begin where the simulator's own space does; frames are
    not compressed. Several entries are a Dict of one level, nested keys with dots between; a dot or slash within a key
    is written ``%2E`` or ``%2F``. A Box of no dimension has one of size 1. ``recover_environment`` makes envs that are
    gymnasium's and have no transforms, frame_skip or pixels.
    """

    def place(self, folder: Path, to: Path | None, inside: bool = False) -> Path:
        """See :class:`Export`: ``<to>/envcli/<env>/<policy>-v0``, which is the name of the data set."""
        return (folder / "minari" if to is None else to) / self._name()

    def refusal(self, path: Path) -> str:
        """See :class:`Export`: only a data set is replaced, and only one that holds nothing else."""
        if not path.is_dir():
            return "is not a folder, expected that of a data set"
        files = (file for file in path.rglob("*") if not file.is_dir() or file.is_symlink())
        other = sorted({str(file.relative_to(path)) for file in files}.difference(_FILES))
        return f"is a folder with {other[0]} in it, which is not part of a data set" if other else ""

    def _name(self) -> str:
        env, policy = (re.sub(r"[^\w-]+", "-", str(self.about[part]).lower()).strip("-") for part in ("env", "policy"))
        return f"envcli/{env}/{policy}-v0"

    def write(self, data: ShardedRollout, path: Path) -> None:
        """See :class:`Export`."""
        try:
            import h5py  # noqa: F401  # in which minari stores
            import minari
            from minari.dataset.minari_storage import MinariStorage
        except ImportError:
            raise MissingDependency("minari", "format=minari", extra="data") from None
        for name in ("reward", "done"):
            _require_one(data, name)
        specs = self.specs()
        starts = specs.get("starts", {})
        shown, acted = (
            {path: _Leaf(path, leaf, starts.get(path)) for path, leaf in specs[name].leaves().items()}
            for name in ("observation", "action")
        )
        path.mkdir(parents=True)
        storage = MinariStorage.new(
            (path / "data").absolute(),  # minari joins a relative one to itself
            observation_space=_together({key: leaf.space for key, leaf in shown.items()}, spaces.Dict),
            action_space=_together({key: leaf.space for key, leaf in acted.items()}, spaces.Dict),
            jpeg_encoding=False,
        )
        made = f"{data.numel()} of {self.about.get('planned')} steps"
        cut = "" if self.about.get("complete", True) else f", unfinished: {made}"
        by = f"recorded by envcli {self.about['envcli']}, seed {self.about['seed']}{cut}"
        known = {
            "dataset_id": self._name(),
            "minari_version": minari.__version__,
            "algorithm_name": str(self.about["policy"]),
            "description": f"{self.about['env']}, {by}",
        }
        if "env_spec" in specs:
            known["env_spec"] = specs["env_spec"]
        storage.update_metadata(known)
        storage.update_episodes(self._episodes(data, path, shown, acted))

    def cure(self, path: Path) -> str:
        """See :class:`Export`."""
        root = path.parents[len(Path(self._name()).parts) - 1]
        return f"MINARI_DATASETS_PATH={shell_word(str(root.absolute()))} minari show {self._name()}"

    def _episodes(
        self, data: ShardedRollout, path: Path, shown: Mapping[Key, _Leaf], acted: Mapping[Key, _Leaf]
    ) -> Iterator[Any]:
        from minari.data_collector.episode_buffer import EpisodeBuffer

        buffer: Any = EpisodeBuffer  # it says lists where arrays are stored as well
        for _, windows in trajectories(data):
            for steps in _cut(windows):
                require_room(path, 2 * sum(rows.nbytes for rows in steps.values()) + _HELD)
                seen = {
                    key: leaf.native(np.concatenate([steps[key], steps[("next", *key)][-1:]]))
                    for key, leaf in shown.items()
                }
                terminated, truncated = _ends(steps)
                yield buffer(
                    observations=_together(seen, dict),
                    actions=_together({key: leaf.native(steps[key]) for key, leaf in acted.items()}, dict),
                    rewards=steps[("next", "reward")].reshape(-1),
                    terminations=terminated,
                    truncations=truncated,
                )


class _Leaf:
    """An entry as gymnasium sees it: its space, and values of it from rows of ours."""

    def __init__(self, path: Key, spec: TensorSpec, start: Array | None = None) -> None:
        self._start = start
        self._hot = spec if isinstance(spec, HotSpec) else None
        known = spec.to(torch.float32) if spec.dtype == torch.bfloat16 else spec  # which rows are exported as
        self.space = spec_to_space(known, ".".join(path), start)

    def native(self, rows: Array) -> Array:
        """``[time, *value]``."""
        found: Array = rows if self._hot is None else self._hot.to_numpy(torch.from_numpy(rows), safe=False)
        return found if self._start is None else found + self._start


def _together(parts: Mapping[Key, Any], several: Callable[[dict[str, Any]], Any]) -> Any:
    """One part as it is, several by their names."""
    return next(iter(parts.values())) if len(parts) == 1 else several({_name(k): v for k, v in parts.items()})


def _name(key: Key) -> str:
    return spelt(key, ".", "/")  # at which HDF5 would make groups


def _require_one(data: ShardedRollout, name: str) -> None:
    """Raise ConfigError unless each step of an env has one number under ``name``."""
    lead = len(data.manifest.batch_size)
    found = {e.key[1:]: e.shape[lead:] for e in data.manifest.entries if e.key[0] == "next" and e.key[-1] == name}
    if math.prod(found.get((name,), (0,))) != 1:
        there = ", ".join(f"{'.'.join(key)} {list(shape)}" for key, shape in found.items()) or "none"
        raise ConfigError(
            f"format=minari: Minari has one {name} per step, this env has {there}. Use npz, hdf5 or parquet"
        )


def _ends(steps: Mapping[Key, Array]) -> tuple[Array, Array]:
    """Where an episode terminated, and where it was truncated, ``[time]`` each: by the env, or by the rollout's end."""
    done = steps[("next", "done")].reshape(-1)
    flags = [steps.get(("next", name)) for name in ("terminated", "truncated")]
    truncated = np.zeros_like(done) if flags[1] is None else flags[1].reshape(-1).copy()
    terminated = done & ~truncated if flags[0] is None else flags[0].reshape(-1)
    truncated[-1] |= not done[-1]
    return terminated, truncated


def _cut(windows: Iterator[dict[Key, Array]]) -> Iterator[dict[Key, Array]]:
    """Windows of one env's steps as its episodes: one is in memory at a time."""
    held: list[dict[Key, Array]] = []
    for window in windows:
        done = window[("next", "done")]
        start = 0
        for end in np.flatnonzero(done.reshape(len(done), -1).any(-1)) + 1:
            yield _joined([*held, {key: values[start:end] for key, values in window.items()}])
            held, start = [], int(end)
        if start < len(done):
            held.append({key: values[start:].copy() for key, values in window.items()})
    if held:
        yield _joined(held)


def _joined(parts: list[dict[Key, Array]]) -> dict[Key, Array]:
    return parts[0] if len(parts) == 1 else {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

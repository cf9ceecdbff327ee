"""A rollout in shards, read as if it were one TensorDict."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.keys import Key, NestedKey, as_path, as_user_key, nest
from envcli.memory.groups import set_group_batch_sizes
from envcli.shards.manifest import Manifest

__all__ = ["ShardedRollout"]

_RAISE: Any = object()
_OPEN = 256  # shards mapped at a time: of a dozen entries each, far from the 65,530 mappings that Linux allows


class ShardedRollout:
    """A saved rollout ``[*batch, time]`` that may be larger than memory: nothing is read before it is asked for.

    Indexed as a TensorDict, it gives TensorDicts: ``data[7]``, ``data[..., 100:200]``, ``data[torch.randint(len(data),
    (256,))]``. What lies within one shard is memory-mapped, what lies in several is copied together. ``data["action"]``
    is that entry of all steps, in memory; ``data["next"]`` is what is under it, as lazy as ``data`` itself. What is
    written into any of these never reaches the files, and ``data`` may or may not show it again: change what you hold.
    ``data.shards()`` and ``data.windows(1000)`` go through it once, in order of time. A ``DataLoader`` takes it.

    Args:
        folder: of the rollout.
        manifest: of the folder. The files it lists are known to be there, and as large as it says.
        below: show only what is under this key.
    """

    def __init__(self, folder: Path, manifest: Manifest, below: Key = ()) -> None:
        self.folder = folder.absolute()  # shards are opened later, wherever the process is then
        self.manifest = manifest
        self._below = below
        self._starts = list(itertools.accumulate((shard.steps for shard in manifest.shards), initial=0))
        self._opened: OrderedDict[int, TensorDict] = OrderedDict()
        self._leaves = [e.key[len(below) :] for e in manifest.entries if e.key[: len(below)] == below]
        groups = {key: torch.Size(part) for key, part in manifest.groups}
        self._part = groups.get(below, torch.Size([]))  # what each TensorDict counts beyond [*batch, time]
        self._groups = [(key[len(below) :], part) for key, part in groups.items() if key[: len(below)] == below != key]

    if not TYPE_CHECKING:  # mypy would take any attribute to be there

        def __getattr__(self, name: str) -> NoReturn:
            cure = ""
            if hasattr(TensorDictBase, name) and not name.startswith("_"):
                cure = ". For a TensorDict take all of it, data.to_tensordict(), or a part: data[..., :1000]"
            raise AttributeError(f"a rollout in shards has no {name!r}{cure}", name=name, obj=self)

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def batch_size(self) -> torch.Size:
        """``[*batch, time]``."""
        return torch.Size([*self.manifest.batch_size, self.manifest.steps])

    @property
    def shape(self) -> torch.Size:
        """As ``batch_size``."""
        return self.batch_size

    @property
    def names(self) -> list[str | None]:
        """Of the dimensions: the last is ``"time"``."""
        return [*[None] * len(self.manifest.batch_size), "time"]

    @property
    def num_shards(self) -> int:
        """How many pieces it is in."""
        return len(self.manifest.shards)

    @property
    def finished(self) -> bool:
        """Did the rollout end by itself? If not, it goes on with ``envcli rollout resume=<run folder>``."""
        return self.manifest.finished

    def numel(self) -> int:
        """Steps of all envs."""
        return self.batch_size.numel()

    def bytes(self) -> int:
        """What it takes on disk."""
        return self.manifest.bytes

    def keys(self, include_nested: bool = False, leaves_only: bool = False) -> list[NestedKey]:
        """As those of a TensorDict."""
        paths: dict[Key, None] = {}
        for leaf in self._leaves:
            depths = range(1, len(leaf) + 1) if include_nested else (1,)
            for path in (leaf[:depth] for depth in depths):
                if path == leaf or not leaves_only:
                    paths[path] = None
        return [as_user_key(path) for path in paths]

    def __len__(self) -> int:
        return self.batch_size[0]

    def __repr__(self) -> str:
        names = ", ".join(".".join(leaf) for leaf in self._leaves)
        return f"{type(self).__name__}({list(self.batch_size)} in {self.num_shards} shards of {self.folder}: {names})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": OrderedDict()}  # another process maps the files for itself

    # -- all of it, in order --------------------------------------------------------------------------------------

    def shards(self) -> Iterator[TensorDictBase]:
        """``[*batch, steps]`` of each shard, memory-mapped."""
        return (self._shard(i, keep=False) for i in range(self.num_shards))

    def windows(self, steps: int) -> Iterator[TensorDictBase]:
        """``[*batch, steps]``, one after the other; the last may be shorter."""
        return (self[..., start : start + steps] for start in range(0, self.manifest.steps, steps))

    def to_tensordict(self) -> TensorDictBase:
        """All of it, in memory."""
        whole: TensorDictBase = self[..., :]
        return whole.clone()

    def verify(self) -> None:
        """Raise StoreError, with file, found and expected checksum, unless every byte is what was written."""
        for shard in self.manifest.shards:
            self.manifest.require_unchanged(self.folder, shard)

    def __iter__(self) -> Iterator[TensorDictBase]:
        return (self[i] for i in range(len(self)))

    # -- parts of it ----------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:  # Any: whatever indexes a TensorDict, and what that gives
        """A TensorDict, or for a key an entry."""
        if isinstance(index, str) or (isinstance(index, tuple) and index and all(isinstance(i, str) for i in index)):
            return self.get(index)
        *envs, time = self._expanded(index)
        if isinstance(time, slice):
            return self._stretch(tuple(envs), time)
        chosen = torch.as_tensor(time)
        if chosen.dtype == torch.bool:
            if chosen.shape != (self.manifest.steps,):
                raise IndexError(f"a mask of shape {list(chosen.shape)} for {self.manifest.steps} steps")
            chosen = chosen.nonzero()[:, 0]
        if chosen.ndim == 0:
            i, t = self._place(int(chosen))
            return self._shard(i)[(*envs, t)].clone()  # or a worker of a DataLoader would send the whole shard
        return self._chosen(tuple(envs), chosen)

    def __contains__(self, key: object) -> bool:
        """Is there an entry, or something under it, as in a TensorDict?"""
        path = (key,) if isinstance(key, str) else key
        return isinstance(path, tuple) and any(leaf[: len(path)] == path != () for leaf in self._leaves)

    def get(self, key: NestedKey, default: Any = _RAISE) -> Any:  # Any: a tensor, a rollout, or whatever default is
        """An entry, ``[*batch, time, *value]`` in memory; or, lazily, those that are under ``key``.

        Where there is neither, ``default``, or a KeyError if none is given.
        """
        path = as_path(key)
        if path in self._leaves:
            lead = len(self.manifest.batch_size)
            found = [shard.get(as_user_key(path)) for shard in self.shards()]
            return torch.cat(found, lead) if found else self._nothing().get(as_user_key(path))
        if not any(leaf[: len(path)] == path for leaf in self._leaves):
            if default is not _RAISE:
                return default
            raise KeyError(f"no entry {as_user_key(path)!r}. There are: {', '.join(map('.'.join, self._leaves))}")
        return ShardedRollout(self.folder, self.manifest, (*self._below, *path))

    def _shard(self, i: int, keep: bool = True) -> TensorDictBase:
        whole = self._opened.get(i)
        if whole is None:
            whole = self.manifest.tensordict(self.folder, self.manifest.shards[i])
            if keep:
                self._opened[i] = whole
                if len(self._opened) > _OPEN:
                    self._opened.popitem(last=False)
        found: TensorDictBase = whole.get(as_user_key(self._below)) if self._below else whole
        return found

    def _expanded(self, index: Any) -> list[Any]:
        """One index for each dimension."""
        parts = [one for part in (index if isinstance(index, tuple) else (index,)) for one in _dimensions(part)]
        ndim = len(self.batch_size)
        dots = [i for i, part in enumerate(parts) if part is Ellipsis]
        missing = ndim - len(parts) + len(dots)
        if missing < 0 or len(dots) > 1 or any(part is None for part in parts):
            raise IndexError(f"{index!r} for a rollout of shape {list(self.batch_size)}")
        at = dots[0] if dots else len(parts)
        found = [*parts[:at], *[slice(None)] * missing, *parts[at + 1 :]]
        for part, size in zip(found, self.batch_size, strict=True):
            if isinstance(part, _Places) and part.size != size:
                raise IndexError(f"a mask of {part.size} where a rollout of shape {list(self.batch_size)} has {size}")
        return [_as_number(part.places if isinstance(part, _Places) else part) for part in found]

    def _place(self, t: int) -> tuple[int, int]:
        """The shard that step ``t`` is in, and its row there."""
        steps = self.manifest.steps
        if not -steps <= t < steps:
            raise IndexError(f"step {t} of {steps}")
        t %= steps
        i = bisect_right(self._starts, t) - 1
        return i, t - self._starts[i]

    def _stretch(self, envs: tuple[Any, ...], time: slice) -> TensorDictBase:
        start, stop, step = time.indices(self.manifest.steps)
        if step < 0:
            raise IndexError("time cannot go backwards: a step below 0")
        pieces = []
        for i, (first, end) in enumerate(itertools.pairwise(self._starts)):
            begin = start if start >= first else first + (start - first) % step
            if begin < min(end, stop):
                pieces.append(self._shard(i)[(*envs, slice(begin - first, min(end, stop) - first, step))])
        if len(pieces) == 1:
            return pieces[0]
        return (
            TensorDict.cat(pieces, pieces[0].ndim - len(self._part) - 1)
            if pieces
            else self._nothing()[(*envs, slice(0, 0))]
        )

    def _chosen(self, envs: tuple[Any, ...], time: torch.Tensor) -> TensorDictBase:
        """Single steps, in the order of ``time``; where ``envs`` are tensors too, env and step go in pairs.

        Entry by entry: a batch of 256 steps from five shards takes a tenth of what indexing TensorDicts takes.
        """
        paired = [i for i, env in enumerate(envs) if not isinstance(env, slice | int)]
        time, *several = _in_pairs(time, *(_numbers(envs[i]) for i in paired))
        pairs = {i: env.reshape(-1) for i, env in zip(paired, several, strict=True)}
        steps, flat = self.manifest.steps, time.reshape(-1)
        if ((flat < -steps) | (flat >= steps)).any():
            raise IndexError(f"steps from {int(flat.min())} to {int(flat.max())} of {steps}")
        if not len(flat):
            return self._nothing()[(*envs, time.long())]
        flat = flat % steps
        slices = [i for i, env in enumerate(envs) if isinstance(env, slice)]
        apart = bool(paired and slices and slices[-1] > paired[0])  # then the steps come first, as everywhere in torch
        lead = 0 if apart else len(slices)
        shards, order = torch.sort(torch.bucketize(flat, torch.tensor(self._starts[1:]), right=True), stable=True)
        opened, counts = torch.unique_consecutive(shards, return_counts=True)
        places = list(zip(opened.tolist(), torch.split_with_sizes(order, counts.tolist()), strict=True))
        back = torch.argsort(order)
        values: dict[Key, torch.Tensor] = {}
        for leaf in self._leaves:
            parts = []
            for i, here in places:
                rows, local = self._shard(i).get(as_user_key(leaf)), flat[here] - self._starts[i]
                parts.append(
                    rows[(*(pairs[i][here] if i in pairs else env for i, env in enumerate(envs)), local)]
                    if paired
                    else rows[(*envs, slice(None))].index_select(lead, local)
                )
            value = torch.cat(parts, lead).index_select(lead, back)
            values[leaf] = value.reshape(*value.shape[:lead], *time.shape, *value.shape[lead + 1 :])
            size = *value.shape[:lead], *time.shape, *value.shape[lead + 1 : len(slices) + 1]
        found = TensorDict(nest(values), batch_size=torch.Size(size))
        set_group_batch_sizes(found, self._groups)
        found.batch_size = torch.Size([*found.batch_size, *self._part])
        return found

    def _nothing(self) -> TensorDictBase:
        """No step at all, ``[*batch, 0]``."""
        lead = len(self.manifest.batch_size)
        rows = {e.key: torch.zeros(0, *e.shape, dtype=e.kind).movedim(0, lead) for e in self.manifest.entries}
        nothing = TensorDict(nest(rows), batch_size=torch.Size([*self.manifest.batch_size, 0]))
        set_group_batch_sizes(nothing, self.manifest.groups)
        found: TensorDictBase = nothing.get(as_user_key(self._below)) if self._below else nothing
        return found


class _Places(NamedTuple):
    """What a mask of several dimensions says of one of them: where it is true, of so many."""

    places: torch.Tensor
    size: int


def _as_number(part: Any) -> Any:  # Any: whatever indexes one dimension
    """``part``, or the int that it is, if it is one of a library's."""
    is_one = isinstance(part, torch.Tensor | np.ndarray | np.generic) and part.ndim == 0
    return int(part) if is_one and torch.as_tensor(part).dtype != torch.bool else part


def _dimensions(part: Any) -> list[Any]:  # Any: whatever indexes one dimension, or a mask of several
    if not isinstance(part, torch.Tensor | np.ndarray) or part.ndim < 2:
        return [part]
    mask = torch.as_tensor(part)
    return [*map(_Places, mask.nonzero(as_tuple=True), mask.shape)] if mask.dtype == torch.bool else [part]


def _in_pairs(*numbers: torch.Tensor) -> Sequence[torch.Tensor]:
    try:
        size = np.broadcast_shapes(*(tuple(one.shape) for one in numbers))
    except ValueError:
        sizes = ", ".join("x".join(map(str, one.shape)) for one in numbers)
        raise IndexError(f"envs and steps are indexed in pairs: expected equal sizes, found {sizes}") from None
    return [one.expand(size) for one in numbers]


def _numbers(envs: Any) -> torch.Tensor:  # Any: whatever indexes a dimension
    """Which envs those are: a mask says it by its true places."""
    found = torch.as_tensor(envs)
    return found.nonzero()[:, 0] if found.dtype == torch.bool and found.ndim == 1 else found

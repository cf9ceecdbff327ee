"""The rollout buffer: memory with a time axis, allocated once, in which every value of a rollout lives."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from tensordict import TensorDict

from envcli.errors import EnvError, SpecError
from envcli.keys import Key, nest
from envcli.memory.groups import groups_of, set_group_batch_sizes

__all__ = [
    "NO_GRAY",
    "Array",
    "Layout",
    "Place",
    "Recolour",
    "RolloutBuffer",
    "Rows",
    "as_array",
    "as_numbers",
    "in_memory",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Layout: TypeAlias = Mapping[Key, tuple[torch.Size, torch.dtype]]
"""What one row holds: path -> (shape ``[*batch, *value]``, dtype). Paths of the next step begin with ``"next"``."""

Place: TypeAlias = Callable[[Key, tuple[int, ...], torch.dtype], torch.Tensor]
"""Where rows live: (path, ``[time, *batch, *value]``, dtype) -> a tensor in host memory, of zeros unless said."""

Recolour: TypeAlias = Callable[[Array], Array]
"""What becomes of colours, each by itself: uint8 ``[*lead, 3]`` -> grays, uint8 ``[*lead]``, less than ``NO_GRAY``."""

NO_GRAY = 255


class Rows(Protocol):
    """What takes native values row by row: ``rows[t] = value``. A numpy array is one."""

    def __setitem__(self, t: int, value: Any, /) -> None: ...


def in_memory(path: Key, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Zeros in ordinary memory.

    By way of numpy, whose zeros come from ``calloc``: pages are only paid for when they are first written, so a buffer
    for a million steps of which a hundred are made costs a hundred steps.
    """
    if dtype in (torch.bfloat16, torch.complex32):  # numpy has no such types
        return torch.zeros(shape, dtype=dtype)
    try:
        return torch.from_numpy(np.zeros(shape, dtype=_of_numpy(dtype)))
    except MemoryError:
        size = math.prod(shape) * dtype.itemsize
        raise EnvError(
            f"rows {list(shape)} of {'.'.join(path)} need {size:,} bytes, more than this machine has. "
            "Make fewer steps at a time, or let a recorder write them to disk: recorder=memmap"
        ) from None


@functools.cache
def _of_numpy(dtype: torch.dtype) -> np.dtype[Any]:
    return torch.empty((), dtype=dtype).numpy().dtype


def as_array(tensor: torch.Tensor) -> Array:
    """``tensor`` as numpy, without its graph; over the same memory if that is on the host."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:  # numpy has no such type; for moving rows the bits are enough
        tensor = tensor.view(torch.int16)
    array: Array = tensor.numpy() if tensor.is_cpu else tensor.cpu().numpy()
    return array


def as_numbers(rows: torch.Tensor) -> memoryview | None:
    """``rows``, ``[time, *batch, *value]``, as ``[time]`` over the same memory, where a row is one float.

    None where it is not. Python reads or writes an item in 40 ns, and computes with it as with any float.
    """
    if rows.dtype not in (torch.float32, torch.float64) or rows[0].numel() != 1:
        return None
    return _singly(as_array(rows))


def _singly(array: Array) -> memoryview[Any]:
    """``array``, ``[time, 1, ...]``, as ``[time]`` over the same memory."""
    while array.ndim > 1:  # by indexing: a reshape of a row that is repeated would be a copy
        array = array[:, 0]
    return array.data


def _repeated(path: Key, shape: tuple[int, ...], dtype: torch.dtype, place: Place) -> torch.Tensor:
    """One row of zeros that stands for all of them: the time axis has stride 0."""
    row = place(path, shape[1:], dtype)
    return row.as_strided(shape, (0, *row.stride()))


class RolloutBuffer:
    """A flat mapping from path to one tensor ``[time, *batch, *value]``.

    Two families of paths: the root (observation, state, action, done family) and ``("next", ...)`` (observation,
    reward, done family). An env is bound to a buffer once and then writes row after row; the rollout that the user gets
    is a view of the same memory, and a saved rollout is the same memory again, in files.

    Rows start at zero, or as ``place`` gives them. ``filled`` counts those, from the first, that hold complete steps;
    ``added`` are the paths that no spec announced; ``used`` counts rows in which an earlier rollout may have left flags
    that are up, where there are more of them than are filled. ``parts`` says of nested groups what their TensorDicts
    count beyond the batch, ``[*part]`` (agents, say), as the env that is bound to the rows has it. ``again``: another
    rollout will be made in these rows, so that nobody may keep a view of one. ``recoloured`` says of images what the
    env that is bound to the rows draws instead of its colours, by their paths at the root.

    Args:
        steps: rows, the length of the time axis.
        batch_size: ``[*batch]``, the shape of the env.
        tensors: path -> ``[time, *batch, *value]``, on the host.
        place: where rows live that are added later.
        time_first: how memory that comes from ``place`` is laid out: row after row, or env after env, so that a
            rollout of a batch, ``[*batch, time]``, is dense, and what one env writes lies together.
    """

    def __init__(
        self,
        steps: int,
        batch_size: torch.Size,
        tensors: Mapping[Key, torch.Tensor],
        place: Place = in_memory,
        time_first: bool = False,
    ) -> None:
        self.steps = steps
        self.batch_size = batch_size
        self.tensors = dict(tensors)
        self.filled = self.used = 0
        self.again = False
        self._place = place
        self._time_first = time_first
        self.added: set[Key] = set()
        self.parts: Mapping[Key, torch.Size] = {}
        self.recoloured: Mapping[Key, Recolour] = {}
        self._spare: dict[Key, torch.Tensor] = {}
        self._arrays: dict[Key, Array] = {}
        self._by_env: dict[Key, torch.Tensor] = {}  # [*batch, time, *value], of those that were allocated so

    @classmethod
    def allocate(
        cls,
        layout: Layout,
        steps: int,
        batch_size: torch.Size,
        place: Place = in_memory,
        time_first: bool = False,
    ) -> RolloutBuffer:
        """A buffer of ``steps`` rows of ``layout``, in the memory that ``place`` gives."""
        buffer = cls(steps, batch_size, {}, place, time_first)
        for path, (shape, dtype) in layout.items():
            buffer._put(path, shape, dtype)
        return buffer

    @torch.inference_mode(False)  # or only what runs in that mode could write into them
    @torch.no_grad()
    def _put(self, path: Key, shape: torch.Size, dtype: torch.dtype) -> None:
        """New rows. ``data``: without a tensor behind that they are a view of, see :meth:`shows`."""
        lead = len(self.batch_size)
        if self._time_first:
            self.tensors[path] = self._place(path, (self.steps, *shape), dtype).data
        else:
            self._lay(path, self._place(path, (*shape[:lead], self.steps, *shape[lead:]), dtype).data)

    def _lay(self, path: Key, rows: torch.Tensor) -> None:
        """``rows``, ``[*batch, time, *value]``, are those of ``path``."""
        self.tensors[path] = rows
        if self.batch_size:
            self._by_env[path] = rows
            self.tensors[path] = rows.movedim(len(self.batch_size), 0).data

    def require(self, layout: Layout) -> None:
        """Raise SpecError unless the rows hold all of ``layout``."""
        for path, (shape, dtype) in layout.items():
            tensor = self.tensors.get(path)
            found = "no such entry" if tensor is None else f"{tensor.dtype} {list(tensor.shape[1:])}"
            if found != f"{dtype} {list(shape)}":
                raise SpecError(f"the buffer: {'.'.join(path)}: expected {dtype} {list(shape)}, found {found}")

    def __getitem__(self, path: Key) -> torch.Tensor:
        return self.tensors[path]

    def __contains__(self, path: Key) -> bool:
        return path in self.tensors

    def __iter__(self) -> Iterator[Key]:
        return iter(self.tensors)

    @property
    def nbytes(self) -> int:
        """How much memory all rows take."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def is_passing(self, path: Key) -> bool:
        """Is a row of ``path`` written again while somebody may still hold it?"""
        rows = self.tensors[path]
        return self.again or len(rows) == 1 or rows.stride(0) == 0

    def array(self, path: Key) -> Array:
        """``[time, *batch, *value]`` as numpy, over the same memory."""
        found = self._arrays.get(path)
        if found is None:  # a call of torch after much Python may take 50 us
            found = self._arrays[path] = as_array(self.tensors[path])
        return found

    def flags(self, path: Key) -> memoryview[Any]:  # Any: bool, int or float, as the entry is
        """``[time]`` of an unbatched scalar or ``[1]`` entry, for reading and writing single values.

        A memoryview: one item costs 40 ns to write where numpy's costs 90 and torch's 2000.
        """
        return _singly(self.array(path))

    def add(self, path: Key, row: torch.Tensor) -> torch.Tensor:
        """Rows for an entry that no spec announced (what a policy writes besides the action), shaped like ``row``."""
        rows = self._spare.pop(path, None)
        self._arrays.pop(path, None)
        if rows is None or (rows.shape[1:], rows.dtype) != (row.shape, row.dtype):
            self._by_env.pop(path, None)
            self._put(path, row.shape, row.dtype)
        else:
            self.tensors[path] = rows
        self.added.add(path)
        return self.tensors[path]

    def shows(self, path: Key) -> int:
        """How many tensors this buffer itself has of the rows; an array counts as one."""
        return 1 + (path in self._by_env) + (path in self._arrays)

    def drop_added(self) -> None:
        """Before another rollout: leave out the entries that ``add`` made for the one before.

        Arrays are made anew, too: who shares the tensors with other processes, by torch's means, moves their memory.
        """
        self._arrays.clear()
        for path in self.added:
            self._spare[path] = self.tensors.pop(path).zero_()
        self.added.clear()

    def of_envs(self, which: int | slice) -> RolloutBuffer:
        """The rows of one env of the batch, or of several: views of the same memory."""
        tensors = {path: tensor[:, which] for path, tensor in self.tensors.items()}
        batch_size = torch.empty(self.batch_size, device="meta")[which].shape
        buffer = RolloutBuffer(self.steps, batch_size, tensors)
        buffer.again = self.again
        return buffer

    def reshaped(self, batch_size: torch.Size) -> RolloutBuffer:
        """The same memory, where as many envs in the same order have the shape ``batch_size``."""
        if batch_size == self.batch_size:
            return self
        lead = 1 + len(self.batch_size)
        shapes = {path: (self.steps, *batch_size, *rows.shape[lead:]) for path, rows in self.tensors.items()}
        tensors = {path: rows.view(shapes[path]) for path, rows in self.tensors.items()}
        buffer = RolloutBuffer(self.steps, batch_size, tensors, self._place)
        buffer.parts, buffer.again = self.parts, self.again
        return buffer

    def groups(self, paths: Iterable[Key]) -> list[tuple[Key, torch.Size]]:
        """The groups above ``paths`` that count more than the batch: see :func:`groups_of`."""
        lead = 1 + len(self.batch_size)
        return groups_of({path: self.tensors[path].shape[lead:] for path in paths}, self.parts) if self.parts else []

    def behind(
        self,
        layout: Layout,
        rewritten: set[Key],
        renamed: Mapping[Key, Key] = MappingProxyType({}),
        place: Place = in_memory,
    ) -> RolloutBuffer:
        """The buffer of an env one stage further in.

        An entry that this buffer holds too, under the same name or as ``renamed`` says (inner -> outer), and that is
        not ``rewritten`` on the way, is the same memory; any other is private, one row that stands for every time, in
        the memory that ``place`` gives.
        """
        tensors = {}
        ours = rewritten | set(renamed.values())
        for path, (shape, dtype) in layout.items():
            if renamed.get(path) in self.tensors:
                tensors[path] = self.tensors[renamed[path]]
            elif path in self.tensors and path not in ours:
                tensors[path] = self.tensors[path]
            else:
                tensors[path] = _repeated(path, (self.steps, *shape), dtype, place)
        buffer = RolloutBuffer(self.steps, self.batch_size, tensors, place)
        buffer.parts, buffer.again = self.parts, self.again
        return buffer

    def tensordict(self, steps: int | None = None, device: torch.device | None = None) -> TensorDict:
        """The first ``steps`` rows as a TensorDict ``[*batch, time]``: views, nothing is copied unless ``device`` asks.

        The time dimension is named ``"time"``.
        """
        steps = self.filled if steps is None else steps
        lead = len(self.batch_size)
        if steps < self.steps:
            entries = {path: tensor[:steps].movedim(0, lead) for path, tensor in self.tensors.items()}
        else:
            entries = {path: self._whole(path) for path in self.tensors}
        shape = torch.Size([*self.batch_size, steps])
        names: Any = [None] * lead + ["time"]  # Any: tensordict's annotation knows no dimension without a name
        tensordict = TensorDict(nest(entries), batch_size=shape, names=names)
        set_group_batch_sizes(tensordict, self.groups(entries))
        return tensordict if device is None else tensordict.to(device)

    def _whole(self, path: Key) -> torch.Tensor:
        """``[*batch, time, *value]``: all rows."""
        if not self.batch_size:
            return self.tensors[path]
        found = self._by_env.get(path)
        return self.tensors[path].movedim(0, len(self.batch_size)) if found is None else found

    def compact(self, apart: bool = False) -> RolloutBuffer:
        """The filled rows alone, in memory of their own where that sets half of the old free or makes a batch dense.

        ``apart``: in ordinary memory of their own in any case.
        """
        if not apart and (self.filled == self.steps or (self.filled > self.steps // 2 and not self.batch_size)):
            return self
        kept, time = RolloutBuffer(self.filled, self.batch_size, {}), len(self.batch_size)
        for path in self.tensors:
            rows = self._whole(path).narrow(time, 0, self.filled)
            kept._lay(path, rows.clone(memory_format=torch.contiguous_format))
        kept.filled, kept.parts = self.filled, self.parts
        return kept

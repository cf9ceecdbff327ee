"""A task on the rows of a buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from tensordict import TensorDictBase
from torch import Tensor

from envcli.memory.buffer import Array, RolloutBuffer, as_array
from envcli.stateless.random_streams import RandomStreams
from envcli.stateless.task import MOMENT, Task, Values

__all__ = ["TaskRows"]

# Rows that are computed before they are written, and env steps in them. To write many at once takes the least time of
# the processor's memory, but the last ones are waited for: towards the end there are fewer.
_BLOCK, _BLOCK_STEPS, _FEW = 128, 2**19, 16


class TaskRows:
    """Runs ``task`` for the envs of one buffer. All that there is to remember stands in the rows themselves.

    Args:
        task: what a step is.
        streams: of random numbers, one for each env.
        buffer: whose rows.
        device: where ``task`` computes. Rows are on the host: they are moved from and to another one in blocks.
    """

    def __init__(self, task: Task, streams: RandomStreams, buffer: RolloutBuffer, device: torch.device) -> None:
        self._task, self._streams, self._device = task, streams, device
        self._batch = buffer.batch_size
        self._root = {name: buffer[(name,)] for name in MOMENT}
        self._next = {path[1]: rows for path, rows in buffer.tensors.items() if path[0] == "next"}
        self._action = buffer[("action",)]
        self._params = {name: buffer[("params", name)] for name in task.params}

    @torch.no_grad()
    def reset(self, t: int, where: Array | None, state: Tensor | None, given: TensorDictBase | None) -> None:
        """New episodes in row ``t``: of the envs ``where``, or of all; with ``state``, or with one drawn.

        The first row of all begins with the physical parameters ``given``, or with the task's own; in any other they
        stay what they are.
        """
        if where is None and t == 0:
            for name, rows in self._params.items():
                value = None if given is None else given.get(("params", name), None)
                rows[t] = self._task.parameter(name, value, self._batch)
        mask = torch.ones(self._batch, dtype=torch.bool) if where is None else torch.from_numpy(where)
        if state is None:
            state = self._start(mask.reshape(-1).nonzero().squeeze(-1).to(self._device))
        else:
            state = state.expand(*self._batch, -1)[mask.to(state.device)]
        begun = self._task.begin(state.to(self._device, self._task.dtype))
        for name, rows in self._root.items():
            rows[t][mask] = begun[name].to(rows.device)

    @torch.no_grad()
    def step(self, t: int) -> None:
        """Row ``t`` of next, from row ``t`` of the root."""
        state, elapsed = (self._root[name][t].to(self._device) for name in ("state", "elapsed_steps"))
        action = self._task.taken(self._action[t].to(self._device))
        followed = self._task.advance(state, elapsed, action, self._params_of(t))
        for name, rows in self._next.items():
            rows[t] = followed[name]

    @torch.no_grad()
    def autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        """Rows ``start`` to ``stop``, with new episodes where one ends; the root of ``stop`` too if ``onward``."""
        last = stop if onward else stop - 1  # of the root
        for rows in self._params.values():
            rows[start + 1 : last + 1] = rows[start]
        if stop - start <= _FEW:
            for first, block in self._blocks(start, stop, last):
                self._write(first, block, last)
            return
        with ThreadPoolExecutor(1) as writer:  # one block is written while the next is computed: 40 % less time
            writing = [
                writer.submit(self._write, first, block, last) for first, block in self._blocks(start, stop, last)
            ]
        for written in writing:
            written.result()

    def _blocks(self, start: int, stop: int, last: int) -> Iterator[tuple[int, _Block]]:
        """What follows, some rows at a time, each with the first of them.

        What begins after row ``last`` of the root is not drawn: whoever goes on from there draws it.
        """
        params = self._params_of(start)
        state, elapsed = (self._root[name][start].to(self._device) for name in ("state", "elapsed_steps"))
        for first, end in self._pieces(start, stop):
            block = _Block()
            for t, action in enumerate(self._taken(first, end), first):
                followed = self._task.advance(state, elapsed, action, params)
                state, elapsed, done = followed["state"], followed["elapsed_steps"], followed["done"]
                which = done.reshape(-1)[: None if t < last else 0].nonzero().squeeze(-1)
                block.add(followed, which)
                if len(which):
                    block.begun.append(self._start(which))
                    state = _patched(state, which, block.begun[-1])
                    elapsed = elapsed.reshape(-1).index_fill(0, which, 0).view_as(elapsed)
            yield first, block

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The first row of each block, and that after its last."""
        most = min(_BLOCK, max(_BLOCK_STEPS // self._batch.numel(), 1))
        while start < stop:
            first, start = start, min(start + max(min(most, (stop - start) // 2), min(most, _FEW)), stop)
            yield first, start

    def _taken(self, first: int, stop: int) -> Sequence[Tensor]:
        """The actions of some rows, each dense: all at once, because those of an env lie side by side."""
        taken = self._task.taken(self._action[first:stop])
        narrow = torch.int32 if self._task.one_hot else taken.dtype  # turned around in half the time
        return taken.to(narrow).contiguous().to(self._device, taken.dtype).unbind(0)

    @torch.no_grad()
    def _write(self, first: int, block: _Block, last: int) -> None:
        """What is in ``block``, from row ``first`` of next on, and from the row after of the root, up to ``last``."""
        begun = self._task.begin(torch.cat(block.begun)) if block.begun else {}
        place = block.ends() if block.begun else ()
        for names in block.entries():
            values = block.by_env(names[0])
            for name in names:
                _rows_of(self._next[name], first, values)
            if names[0] in MOMENT and last > first:
                if block.begun:
                    values[place] = begun[names[0]]
                for name in names:
                    _rows_of(self._root[name], first + 1, values[:, : last - first])

    def _start(self, which: Tensor) -> Tensor:
        """States ``[chosen, size]`` with which the envs ``which``, indices ``[chosen]``, begin."""
        dynamics = self._task.dynamics
        return dynamics.start(self._streams.draw(dynamics.draws, self._task.dtype, which))

    def _params_of(self, t: int) -> Values:
        return {name: rows[t].to(self._device) for name, rows in self._params.items()}


class _Block:
    """Rows that are computed and not yet written.

    The rows of an env lie side by side. To write those of all envs one by one, 16 bytes here and 16 there, took a third
    of CartPole's time.
    """

    def __init__(self) -> None:
        self._followed: list[Values] = []
        self._which: list[Tensor] = []
        self.begun: list[Tensor] = []  # the states ``[chosen, size]`` with which they go on

    def add(self, followed: Values, which: Tensor) -> None:
        """One more row, and the envs, indices ``[chosen]``, whose episode it ends."""
        self._followed.append(followed)
        self._which.append(which)

    def entries(self) -> list[list[str]]:
        """The names of all entries; those of the same values, as a state that is all seen, in one list."""
        same: dict[int, list[str]] = {}
        for name, value in self._followed[0].items():
            same.setdefault(id(value), []).append(name)
        return list(same.values())

    def by_env(self, name: str) -> Tensor:
        """An entry of all rows, ``[envs, rows, size]``, dense."""
        values = torch.stack([row[name].movedim(-1, 0) for row in self._followed])  # [rows, size, *batch]
        count, size = values.shape[:2]
        return values.reshape(count * size, -1).t().contiguous().view(-1, count, size)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Env and row of each end of an episode."""
        counts = torch.tensor([len(which) for which in self._which])
        rows = torch.arange(len(self._which)).repeat_interleave(counts)
        which = torch.cat(self._which)
        return which, rows.to(which.device)


def _rows_of(rows: Tensor, first: int, values: Tensor) -> None:
    """``values``, ``[envs, some, size]``, become the rows from ``first`` on of ``rows``, ``[time, *batch, size]``."""
    target = rows[first : first + values.shape[1]]
    target = target.movedim(0, target.ndim - 2)
    as_array(target)[...] = as_array(values.reshape(target.shape))  # torch takes twice as long between cache lines


def _patched(state: Tensor, which: Tensor, begun: Tensor) -> Tensor:
    """A copy of ``state``, ``[*batch, size]``, with ``begun``, ``[chosen, size]``, of the envs ``which``."""
    numbers = state.movedim(-1, 0).clone(memory_format=torch.contiguous_format)  # as they lie in memory
    numbers.view(len(numbers), -1).index_copy_(1, which, begun.t())
    return numbers.movedim(0, -1)

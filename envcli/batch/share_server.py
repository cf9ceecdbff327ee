"""Carries out orders, which are a few numbers, and words on a share of a batch, in any process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import torch

from envcli.batch.channel import AUTORESET, PAUSE, RESET, STEP
from envcli.batch.env_summary import EnvSummary
from envcli.batch.share import Share
from envcli.envs.env import Env
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.mapped import Known, Mapped, open_all
from envcli.memory.masks import any_of
from envcli.rows.reset_request import ResetRequest

__all__ = ["ShareServer"]


class ShareServer:
    """A share of the envs, in memory that the main process describes.

    Args:
        first: the place of its first env in the batch.
        note: see :class:`~envcli.batch.share.Share`.
        stops_early: asked now and then in a long order: are the rows that are left not wanted any more?
    """

    def __init__(self, first: int, note: Any, stops_early: Callable[[], bool] = lambda: False) -> None:
        self.note = note
        self._first, self._stops_early = first, stops_early
        self._share = Share([])
        self._masks: dict[str, Array] = {}
        self._known: Known = [{}, {}]

    def do(self, order: int, start: int, stop: int, onward: bool, some: bool) -> None:
        """Carry out an order on rows; see :mod:`envcli.batch.channel`."""
        if order == AUTORESET:
            self._share.autoreset_rows(start, stop, onward)
        elif order == STEP:
            self._share.step_row(start)
        elif order == RESET:
            where = self._masks["reset"] if some else None
            if where is None or any_of(where):
                self._share.reset_row(start, where)
        elif order == PAUSE:
            self._share.pause(self._masks["pause"] if some else None)

    def say(self, name: str, args: Sequence[Any]) -> Any:
        """Carry out the word ``name``, and return the answer."""
        return getattr(self, f"_{name}")(*args)

    def _build(self, makers: Sequence[Callable[[], Env]], abreast: bool) -> dict[int, EnvSummary]:
        self._share = Share(makers, self.note, abreast)
        self._share.stops_early = self._stops_early
        return EnvSummary.telling(self._share.envs, self._first)

    def _bind(
        self, steps: int, rows: dict[Key, Mapped], masks: dict[str, Mapped], restarted: dict[Key, Mapped]
    ) -> None:
        envs = self._share.envs
        ours = slice(self._first, self._first + len(envs))
        opened: Mapping[Any, torch.Tensor] = open_all({**rows, **restarted, **masks}, self._known)
        self._masks = {name: opened[name][ours].numpy() for name in masks}
        batch_size = torch.Size([len(envs), *envs[0].batch_size])
        buffer = RolloutBuffer(steps, batch_size, {path: opened[path][:, ours] for path in rows})
        buffer.again = True  # by the next rollout, if the main process releases this one
        self._share.bind(buffer, {path: opened[path][:, ours] for path in restarted})

    def _lose(self) -> None:
        self._share.lose()

    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        self._share.set_seeds(seeds)

    def _train(self, modes: Sequence[bool]) -> None:
        self._share.train(modes)

    def _give(self, requests: Sequence[ResetRequest]) -> None:
        self._share.give(requests)

    def _get(self, name: str) -> list[Any]:
        return self._share.get(name)

    def _call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], among: Set[int] | None) -> list[Any]:
        return self._share.call(name, args, kwargs, among)

    def _load(self, states: Sequence[Mapping[str, Any]]) -> None:
        self._share.load(states)

    def _close(self) -> None:
        self._share.close()

"""Envs at their own pace: the rows are those of envs that wait for each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envcli.backends.vector_paces import Answer, VectorPaces
from envcli.backends.vector_rows import VectorRows, vector_reader
from envcli.memory.buffer import Array, RolloutBuffer

LENGTHS = np.array([1, 3, 100])  # steps in each episode of each env


class Engine:
    """Shows the number of the episode and of the step in it; pays the action; begins anew in a step that pays 0."""

    def __init__(self) -> None:
        self.episode, self.step = np.zeros(3, dtype=int), np.zeros(3, dtype=int)
        self.done = np.zeros(3, dtype=bool)
        self.calls: list[int] = []

    def send(self, actions: Array, envs: Array | None) -> None:
        self.sent = np.arange(3) if envs is None else envs
        self.calls.append(len(self.sent))
        anew, which = self.done[self.sent], self.sent
        self.episode[which] += anew
        self.step[which] = np.where(anew, 0, self.step[which] + 1)
        self.done[which] = ~anew & (self.step[which] == LENGTHS[which])
        self.paid = np.where(anew, 0, actions[:, 0])

    def receive(self) -> Answer:
        which = self.sent
        shown = np.stack([self.episode[which], self.step[which]], -1).astype(np.float32)
        return shown, self.paid, self.done[which], np.zeros(len(which), dtype=bool), {}


def led(blocks: list[int], steps: int = 12, block: int | None = None) -> tuple[RolloutBuffer, Engine]:
    """``steps`` rows, made so many at a time."""
    space, pair = spaces.Box(-9, 9, (2,), np.float32), torch.Size([3, 2])
    flags: Any = {("next", name): (torch.Size([3, 1]), torch.bool) for name in ("done", "terminated", "truncated")}
    values: Any = dict.fromkeys([("observation",), ("next", "observation"), ("action",)], (pair, torch.float32))
    reward: Any = {("next", "reward"): (torch.Size([3, 1]), torch.float32)}
    buffer, engine = RolloutBuffer.allocate({**values, **flags, **reward}, steps, torch.Size([3])), Engine()
    first, following = (VectorRows(space, path, buffer) for path in (("observation",), ("next", "observation")))
    actions = buffer.array(("action",))
    actions[...] = np.arange(actions.size).reshape(actions.shape)
    paces = VectorPaces(
        buffer, first, following, vector_reader(space, ("action",), buffer), engine.send, engine.receive
    )
    paces._block = block or paces._block
    start = 0
    for count in blocks:
        paces.autoreset_rows(start, start + count, start + count < steps)
        start += count
    return buffer, engine


def test_each_env_makes_its_own_episodes() -> None:
    buffer, engine = led([12])
    assert buffer[("observation",)][:, 1].tolist() == [[t // 3, t % 3] for t in range(12)]
    assert buffer[("next", "observation")][:, 1].tolist() == [[t // 3, t % 3 + 1] for t in range(12)]
    assert buffer[("next", "observation")][:, 0].tolist() == [[t, 1] for t in range(12)]
    assert buffer[("next", "reward")][..., 0].tolist() == buffer[("action",)][..., 0].tolist()
    done = [[True, t % 3 == 2, False] for t in range(12)]
    assert buffer[("next", "done")][..., 0].tolist() == buffer[("next", "terminated")][..., 0].tolist() == done
    assert not buffer[("next", "truncated")].any()
    assert engine.calls == [3] * 12 + [2] * 3 + [1] * 8  # the last episodes need not be followed by others


@pytest.mark.parametrize("blocks", [[1] * 12, [5, 7], [2, 9, 1]])
def test_rows_are_the_same_however_many_are_made_at_once(blocks: list[int]) -> None:
    expected, found = led([12])[0], led(blocks)[0]
    assert all(torch.equal(expected[path], found[path]) for path in expected)


def test_writing_in_pieces_changes_nothing() -> None:
    expected, found = led([12])[0], led([12], block=2)[0]
    assert all(torch.equal(expected[path], found[path]) for path in expected)

"""RowEnv: what stands on four hooks that move rows."""

from __future__ import annotations

import pytest
import torch

from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.row_env import RowEnv
from envcli.specs import Composite, Unbounded


class Counter(RowEnv):
    """Shows how many steps were made; is done after ``limit`` of them, and fails in step ``broken``."""

    def __init__(self, limit: int = 3, broken: int = -1, batch_size: object = ()) -> None:
        super().__init__(batch_size=batch_size)
        self.limit, self.broken, self.bindings = limit, broken, 0
        number = Unbounded([*self.batch_size, 1])
        self.observation_spec = Composite(count=number, shape=self.batch_size)
        self.state_spec = Composite(seen=number, shape=self.batch_size)

    def _bind(self, buffer: RolloutBuffer) -> None:
        self.bindings += 1
        self._count, self._done = buffer["next", "count"], buffer["next", "done"]

    def _reset_row(self, t: int, where: Array | None) -> None:
        self.made = 0

    def _step_row(self, t: int) -> None:
        if self.made == self.broken:
            raise ZeroDivisionError
        self.made += 1
        self._count[t] = self.made
        self._done[t].view(-1)[0] = self.made == self.limit

    def _set_seed(self, seed: int | None) -> None:
        pass


def attached(env: Counter, steps: int = 6) -> RolloutBuffer:
    buffer = env._buffer(steps)
    env._attach(buffer)
    env._reset_row(0, None)
    return buffer


def test_its_rows_hold_what_its_specs_say() -> None:
    buffer = Counter(batch_size=[2])._buffer(6)
    assert set(buffer) == {
        ("count",),
        ("seen",),
        ("done",),
        ("terminated",),
        ("next", "count"),
        ("next", "reward"),
        ("next", "done"),
        ("next", "terminated"),
    }
    assert buffer["next", "count"].shape == (6, 2, 1)
    assert not any(buffer[path].any() for path in buffer if path[-1] in ("done", "terminated"))


@pytest.mark.parametrize("batch_size", [(), (2,)])
def test_several_steps_end_with_the_episode_or_where_they_are_to(batch_size: tuple[int, ...]) -> None:
    env = Counter(3, batch_size=batch_size)
    buffer = attached(env)
    assert env._step_rows(0, 2) == 2
    assert env._step_rows(2, 6) == 3
    assert buffer["next", "count"].reshape(6, -1)[:4, 0].tolist() == [1, 2, 3, 0]


def test_where_a_step_fails_the_rows_before_it_are_whole() -> None:
    env = Counter(9, broken=3)
    buffer = attached(env)
    with pytest.raises(ZeroDivisionError):
        env._step_rows(1, 6)
    assert buffer.filled == 4


def test_the_same_rows_are_bound_once() -> None:
    env = Counter()
    first, second = attached(env), env._buffer(6)
    env._attach(first)
    assert env.bindings == 1
    env._attach(second)
    env._attach(first)
    assert env.bindings == 3
    env._unbind()
    env._attach(first)
    assert env.bindings == 4


def test_it_looks_for_ends_in_the_rows_it_is_bound_to() -> None:
    env = Counter(1)
    first = attached(env)
    env._step_rows(0, 1)
    assert first["next", "done"][0].item() is True
    env.limit = 3
    attached(env)
    assert env._step_rows(0, 6) == 3


def test_it_knows_what_its_rows_made_of_it() -> None:
    env = Counter()
    attached(env)
    assert {"_count", "_done"} <= env._of_rows
    assert "limit" not in env._of_rows


def test_a_step_reads_the_state() -> None:
    assert Counter()._roles().reads == {("seen",)} == set(Counter().state_spec.leaves())


def test_flags_beside_each_other_all_count() -> None:
    env = Counter(9, batch_size=[2])
    buffer = attached(env)
    done = env._done_test()
    assert not done(4)
    buffer["next", "done"][4, 1] = torch.tensor([True])
    assert done(4)

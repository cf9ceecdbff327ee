"""TaskRows: a task, run on the rows of a buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli.dynamics.cart_pole import CartPole
from envcli.dynamics.dynamics import Dynamics
from envcli.dynamics.pendulum import Pendulum
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.env_specs import EnvSpecs
from envcli.stateless.random_streams import RandomStreams
from envcli.stateless.task import MOMENT, Task
from envcli.stateless.task_rows import TaskRows

ROWS = 80  # which are computed in several goes
CPU = torch.device("cpu")


def bound(
    dynamics: Dynamics, batch_size: tuple[int, ...] = (3,), limit: int = 0, params: tuple[str, ...] = (), **more: Any
) -> tuple[TaskRows, RolloutBuffer, Task]:
    """The rows of envs that are seeded, with drawn actions."""
    task = Task(dynamics, max_episode_steps=limit, params=params, **more)
    specs = EnvSpecs(batch_size=batch_size)
    for family, spec in task.specs(specs.batch_size, None).items():
        specs._assign(family, spec)
    buffer = RolloutBuffer.allocate(specs._row_layout(), ROWS + 1, specs.batch_size)
    generator = torch.Generator().manual_seed(0)
    action = buffer["action",]
    action.copy_(torch.randint(0, 2, action.shape, generator=generator))
    streams = RandomStreams(specs.batch_size.numel())
    streams.seed_all(7)
    return TaskRows(task, streams, buffer, CPU), buffer, task


def test_a_reset_begins_every_env_with_a_state_of_its_own() -> None:
    rows, buffer, task = bound(CartPole())
    rows.reset(0, None, None, None)
    states = buffer["state",][0]
    assert len({tuple(state) for state in states.tolist()}) == 3
    assert ((states >= -0.05) & (states < 0.05)).all()
    for name, value in task.begin(states).items():
        assert torch.equal(buffer[name,][0], value)


def test_only_who_is_asked_to_begins_anew() -> None:
    rows, buffer, _ = bound(CartPole(), (2, 2))
    for name in MOMENT:
        buffer[name,].fill_(9)
    rows.reset(1, np.array([[True, False], [False, True]]), None, None)
    changed = (buffer["state",][1] != 9).all(-1)
    assert changed.tolist() == [[True, False], [False, True]]
    assert buffer["elapsed_steps",][1].squeeze(-1).tolist() == [[0, 9], [9, 0]]


@pytest.mark.parametrize("where", [None, np.array([False, True, False])])
def test_it_begins_with_the_state_that_is_given(where: Any) -> None:
    rows, buffer, _ = bound(Pendulum())
    given = torch.tensor([[0.5, 0.0], [1.0, 2.0], [0.0, 0.0]])
    rows.reset(0, where, given, None)
    mask = torch.ones(3, dtype=torch.bool) if where is None else torch.from_numpy(where)
    assert torch.equal(buffer["state",][0][mask], given[mask])
    assert not buffer["state",][0][~mask].any()


def test_a_step_is_that_of_the_task() -> None:
    rows, buffer, task = bound(CartPole(), limit=5)
    rows.reset(0, None, None, None)
    rows.step(0)
    expected = task.advance(buffer["state",][0], buffer["elapsed_steps",][0], buffer["action",][0], {})
    assert {path[1] for path in buffer if path[0] == "next"} == set(expected)
    for name, value in expected.items():
        assert torch.equal(buffer["next", name][0], value)


@pytest.mark.parametrize("stop", [5, ROWS])
@pytest.mark.parametrize("onward", [False, True])
@pytest.mark.parametrize(
    ("dynamics", "more"),
    [(CartPole(), {"batch_size": (2, 2), "limit": 30}), (Pendulum(), {"limit": 4, "frame_skip": 2})],
)
def test_many_rows_at_once_are_those_made_one_by_one(
    dynamics: Dynamics, more: dict[str, Any], onward: bool, stop: int
) -> None:
    rows, buffer, _ = bound(dynamics, **more)
    rows.reset(0, None, None, None)
    rows.autoreset_rows(0, stop, onward)
    one, expected, _ = bound(dynamics, **more)
    one.reset(0, None, None, None)
    for t in range(stop):
        one.step(t)
        if t + 1 < stop or onward:
            for name in MOMENT:
                expected[name,][t + 1] = expected["next", name][t]
            done = expected["next", "done"][t].squeeze(-1).numpy()
            if done.any():
                one.reset(t + 1, done, None, None)
    for path in buffer:
        assert torch.equal(buffer[path], expected[path]), path
    if stop == ROWS:
        assert expected["next", "done"].any(), "episodes end"


@pytest.mark.parametrize("stop", [10, 16, 20, 40])  # with one thread, and with two
def test_an_episode_that_ends_in_the_last_row_leaves_the_next_beginning_to_who_goes_on(stop: int) -> None:
    whole, pieces = bound(Pendulum(), limit=stop), bound(Pendulum(), limit=stop)
    for rows, buffer, _ in (whole, pieces):
        buffer["action",].zero_()
        rows.reset(0, None, None, None)
    whole[0].autoreset_rows(0, ROWS, onward=False)
    rows, buffer, _ = pieces
    rows.autoreset_rows(0, stop, onward=False)
    assert buffer["next", "done"][stop - 1].all()
    rows.reset(stop, np.ones(3, bool), None, None)
    rows.autoreset_rows(stop, ROWS, onward=False)
    assert torch.equal(buffer["observation",][:ROWS], whole[1]["observation",][:ROWS])


@pytest.mark.parametrize(("envs", "most"), [(3, 128), (2**14, 32), (2**20, 1)])
def test_fewer_rows_of_more_envs_are_held_back_and_few_at_the_end(envs: int, most: int) -> None:
    rows, _, _ = bound(Pendulum())
    rows._batch = torch.Size([envs])
    pieces = list(rows._pieces(5, 1000))
    assert [first for first, _ in pieces] == [5, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == 1000
    lengths = [end - first for first, end in pieces]
    assert max(lengths) == lengths[0] == most
    assert lengths[-1] <= min(most, 16)


@pytest.mark.parametrize("given", [False, True])
def test_parameters_are_given_once_and_stay(given: bool) -> None:
    rows, buffer, task = bound(Pendulum(), params=("g",))
    gravity = torch.tensor([10.0, 5.0, 1.0]) if given else torch.full((3,), 10.0)
    rows.reset(0, None, None, TensorDict({"params": {"g": gravity}}, [3]) if given else None)
    assert torch.equal(buffer["params", "g"][0], gravity)
    rows.autoreset_rows(0, 4, True)
    assert torch.equal(buffer["params", "g"][:5], gravity.expand(5, 3))
    assert not buffer["params", "g"][5:].any()
    state, elapsed, action = (buffer[name,][3] for name in ("state", "elapsed_steps", "action"))
    expected = task.advance(state, elapsed, action, {"g": gravity})
    assert torch.equal(buffer["next", "state"][3], expected["state"])


def test_a_reset_in_the_middle_changes_no_parameter() -> None:
    rows, buffer, _ = bound(Pendulum(), params=("g",))
    buffer["params", "g"].fill_(3)
    rows.reset(2, None, None, None)
    assert (buffer["params", "g"] == 3).all()

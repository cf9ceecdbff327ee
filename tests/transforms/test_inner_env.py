"""InnerEnv: the env before a transform, stepped once more in rows that are bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.memory.buffer import RolloutBuffer
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.inner_env import InnerEnv, put_back


def inside(env: Env) -> tuple[InnerEnv, RolloutBuffer]:
    """``env``, reset in row 0, and its rows; every action is 1."""
    buffer = env._buffer(3)
    env._attach(buffer)
    found = InnerEnv(env, env, buffer, env._step_row, env._reset_row, env._roles().reads)
    found.reset(0)
    buffer["action",].fill_(1)
    return found, buffer


def position(buffer: RolloutBuffer) -> tuple[float, float]:
    """Of the root and of next, in row 0."""
    return buffer["position",][0].item(), buffer["next", "position"][0].item()


def test_a_step_begins_where_its_root_says_as_often_as_it_is_made() -> None:
    found, buffer = inside(StatelessEnv())
    for _ in range(2):
        found.step(0)
        assert position(buffer) == (0, 1)


def test_one_more_step_goes_on_from_where_the_last_one_led_to() -> None:
    found, buffer = inside(StatelessEnv())
    found.step(0)
    found.step_on(0)
    assert position(buffer) == (1, 2)
    found.step_on(0)
    assert position(buffer) == (2, 3)
    assert found.done(0)


def test_what_a_step_reads_can_be_put_back() -> None:
    found, buffer = inside(StatelessEnv())
    reads, actions = found.saved_reads(0), found.saved_actions(0)
    found.step(0)
    after = found.saved_next(0)
    buffer["action",][0] = 0.5
    found.step_on(0)
    assert position(buffer) == (1, 1.5)
    put_back(reads)
    put_back(actions)
    put_back(after)
    assert position(buffer) == (0, 1)
    assert buffer["action",][0] == 1
    assert buffer["next", "reward"][0] == 1


def test_other_rows_are_left_alone() -> None:
    found, buffer = inside(StatelessEnv())
    for path in buffer:
        buffer[path][1:] = 1
    found.step(0)
    found.step_on(0)
    found.show_last(0)
    assert all((buffer[path][1:] == 1).all() for path in buffer)


def test_some_envs_are_put_back_and_the_others_stay_where_they_are() -> None:
    found, buffer = inside(CountingEnv(9, [2]))
    found.step(0)
    before = found.saved_next(0)
    found.step_on(0)
    put_back(before, np.array([True, False]))
    assert buffer["next", "observation"][0].flatten().tolist() == [1, 2]


def test_it_is_told_which_envs_are_done_and_flags_do_not_stay() -> None:
    found, _ = inside(CountingEnv([1, 3], [2], time_limit=3))
    found.step(0)
    assert found.done(0).tolist() == [True, False]
    found.step_on(0)
    found.step_on(0)
    assert found.done(0).tolist() == [True, True]
    found.clear_flags(0)
    assert found.done(0).tolist() == [False, False]


@pytest.mark.parametrize("where", [None, np.array([False, True])])
def test_a_reset_begins_anew_where_it_is_told_to(where: np.ndarray[tuple[int], np.dtype[np.bool_]] | None) -> None:
    found, buffer = inside(CountingEnv(9, [2]))
    found.step(0)
    found.show_last(0)
    assert buffer["observation",][0].flatten().tolist() == [1, 1]
    found.reset(0, where)
    assert buffer["observation",][0].flatten().tolist() == ([0, 0] if where is None else [1, 0])


def test_what_is_shown_after_steps_within_a_reset_is_still_a_beginning() -> None:
    found, buffer = inside(TransformedEnv(StatelessEnv(), InitTracker()))
    assert buffer["is_init",][0].item() is True
    found.step(0)
    found.show_last(0)
    assert position(buffer) == (1, 1)
    assert buffer["is_init",][0].item() is True
    assert buffer["next", "is_init"][0].item() is False


def test_it_speaks_for_the_stage_it_stands_in() -> None:
    env = CountingEnv(9, [2])
    found, buffer = inside(env)
    assert found.base_env is env
    assert found.rows is buffer
    assert found.specs.batch_size == torch.Size([2])

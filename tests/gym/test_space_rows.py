"""Values of gymnasium's spaces in rows of a buffer."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from envcli.gym.space_rows import row_reader, row_writer, rows_reader
from envcli.gym.spaces import announced, space_to_spec
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Composite
from envcli.testing.gym_toys import every_space


def rows_of(space: Any, categorical: bool = False, steps: int = 4) -> RolloutBuffer:
    spec = space_to_spec(space, categorical=categorical)
    whole = spec if isinstance(spec, Composite) else Composite(x=spec)
    layout = {("x", *p) if whole is spec else p: (leaf.shape, leaf.dtype) for p, leaf in whole.leaves().items()}
    return RolloutBuffer.allocate(layout, steps, torch.Size([]))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return set(one) == set(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(np.asarray(one).dtype == np.asarray(other).dtype or np.isscalar(one)) and np.array_equal(one, other)


ALL = {
    **every_space().spaces,
    "everything": every_space(),
    "far choices": spaces.MultiDiscrete([2, 3], start=[5, -1]),
    "keys that are no words": spaces.Dict({1: spaces.Discrete(3), (0, 2): spaces.Dict({0: spaces.Box(0, 1, (2,))})}),
}


@pytest.mark.parametrize("categorical", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_a_value_survives_the_way_into_a_row_and_out(name: str, categorical: bool) -> None:
    space = ALL[name]
    space.seed(3)
    buffer = rows_of(space, categorical)
    rows, read = row_writer(space, ("x",), buffer), row_reader(space, ("x",), buffer)
    values = [space.sample() for _ in range(4)]
    for t, value in enumerate(values):
        announced(space).check(value, "here")
        rows[t] = value
    whole = rows_reader(space, ("x",), buffer)(1, 4)
    for t, value in enumerate(values):
        out = read(t)
        assert same(value, out), (value, out)
        assert space.contains(out) or np.isscalar(out), "a simulator must take it"
        if t:
            assert same(value, whole[t - 1])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(-9, 9), st.integers(0, 5), st.booleans())
def test_choices_that_start_anywhere(n: int, start: int, number: int, categorical: bool) -> None:
    space = spaces.Discrete(n, start=start)
    native = start + number % n
    buffer = rows_of(space, categorical)
    row_writer(space, ("x",), buffer)[2] = np.int64(native)
    expected = number % n if categorical else [int(i == number % n) for i in range(n)]
    assert buffer["x",][2].tolist() == expected
    assert row_reader(space, ("x",), buffer)(2) == native
    assert rows_reader(space, ("x",), buffer)(2, 3) == [native]


def test_what_a_simulator_keeps_is_not_our_memory() -> None:
    space = spaces.Box(-1, 1, (2,), np.float32)
    buffer = rows_of(space)
    kept = [row_reader(space, ("x",), buffer)(0), *rows_reader(space, ("x",), buffer)(0, 2)]
    buffer["x",].fill_(1)
    assert all((action == 0).all() for action in kept)


def test_a_choice_is_written_in_a_fraction_of_the_time_of_several() -> None:
    one, several = spaces.Discrete(6), spaces.MultiDiscrete([6])
    rows = [row_writer(space, ("x",), rows_of(space)) for space in (one, several)]
    values = [np.int64(2), np.array([2])]

    def write(which: int) -> float:
        begun = time.process_time()
        for _ in range(2000):
            rows[which][1] = values[which]
        return time.process_time() - begun

    fast, slow = (min(write(which) for _ in range(5)) for which in (0, 1))
    assert fast < slow / 2  # a tenth

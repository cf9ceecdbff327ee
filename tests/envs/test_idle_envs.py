"""What rows show of envs that make no step."""

from __future__ import annotations

import numpy as np
import pytest

from envcli.batch.serial_env import SerialEnv
from envcli.envs.idle_envs import IdleEnvs
from envcli.testing.toys import CountingEnv


@pytest.mark.parametrize("where", [1, np.array([False, True])], ids=["place", "mask"])
def test_they_repeat_the_root_and_earn_nothing(where: object) -> None:
    with SerialEnv(2, CountingEnv) as env:
        buffer = env._buffer(2)
    for path in buffer:
        buffer.array(path)[:] = 0
    for path in (("observation",), ("done",), ("next", "reward")):
        buffer.array(path)[1] = 1
    IdleEnvs(env, buffer).write(1, where)
    assert buffer.array(("next", "observation"))[:, :, 0].tolist() == [[0, 0], [0, 1]]
    assert buffer.array(("next", "done"))[:, :, 0].tolist() == [[False, False], [False, True]]
    assert buffer.array(("next", "reward"))[:, :, 0].tolist() == [[0, 0], [1, 0]]


def test_some_entries_can_be_left_alone() -> None:
    with SerialEnv(2, CountingEnv) as env:
        buffer = env._buffer(1)
    buffer.array(("observation",))[:] = 5
    buffer.array(("next", "observation"))[:] = 3
    IdleEnvs(env, buffer, but={("observation",)}).write(0, 1)
    assert (buffer.array(("next", "observation")) == 3).all()

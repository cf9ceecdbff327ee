from __future__ import annotations

import pytest
import torch

from envcli.envs.random_actions import RandomActions
from envcli.testing.toys import CountingEnv


def actions_of(env: CountingEnv) -> RandomActions:
    return RandomActions(env, env._buffer(1))


@pytest.mark.parametrize(("envs", "rows"), [(1, 4096), (256, 4096), (300, 2048), (4096, 256), (10**6, 1)])
def test_they_are_drawn_for_fewer_rows_of_more_envs(envs: int, rows: int) -> None:
    assert actions_of(CountingEnv(9, batch_size=[envs])).rows_at_a_time == rows


def test_how_many_rows_are_drawn_at_a_time_is_not_seen() -> None:
    env = CountingEnv(9, batch_size=[2**14])
    torch.manual_seed(0)
    data = env.rollout(3 * actions_of(env).rows_at_a_time, break_when_any_done=False)
    torch.manual_seed(0)
    assert torch.equal(data["action"], env.action_spec.rand([192]).transpose(0, 1))

"""The toys: what they count is what they say they count."""

from __future__ import annotations

import torch

from envcli.testing.gym_toys import CountingGym, ExoticGym, every_space
from envcli.testing.toys import CountingEnv, StatelessEnv


def test_counting_env_counts() -> None:
    env = CountingEnv([2, 3], [2], time_limit=3)
    data = env.rollout(3, break_when_any_done=False)
    assert data["observation"].squeeze(-1).tolist() == [[0, 1, 0], [0, 1, 2]]
    assert data["next", "observation"].squeeze(-1).tolist() == [[1, 2, 1], [1, 2, 3]]
    assert data["next", "terminated"].squeeze(-1).tolist() == [[False, True, False], [False, False, True]]
    assert data["next", "truncated"].squeeze(-1).tolist() == [[False] * 3, [False, False, True]]
    assert torch.equal(data["next", "reward"], data["action"])
    assert env.steps_made == 3


def test_stateless_env_goes_where_the_state_says() -> None:
    env = StatelessEnv(goal=3.0)
    td = env.reset()
    td.update({"position": torch.tensor([2.5]), "goal": torch.tensor([2.75]), "action": torch.tensor([0.5])})
    assert env.step(td)["next", "position"] == 3.0
    assert td["next", "terminated"].all()


def test_the_gym_toys_hold_what_they_promise() -> None:
    counting = CountingGym(limit=2, time_limit=1)
    assert counting.reset()[0].tolist() == [0]
    assert counting.step(1)[1:] == (1.0, False, True, {"steps": 1})
    exotic = ExoticGym()
    first, _ = exotic.reset(seed=3)
    assert every_space().contains(first)
    again, _ = exotic.reset(seed=3)
    assert str(first) == str(again)

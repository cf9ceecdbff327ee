"""NoopResetEnv."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import OneHot
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.step_counter import StepCounter
from tests.transforms.image_toy import FramesEnv, frame


class Console(FramesEnv):
    """With buttons."""

    def __init__(self, limit: int = 99) -> None:
        super().__init__(limit)
        self.action_spec = OneHot(3)

    def get_action_meanings(self) -> list[str]:
        return ["FIRE", "NOOP", "LEFT"]


class TestOfOne(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(9), NoopResetEnv(4))


class TestBetweenOthers(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(
            CountingEnv(9), Compose(StepCounter(), NoopResetEnv(4), StepCounter(step_count_key="own"))
        )


def test_so_many_no_ops() -> None:
    base = Console()
    env = TransformedEnv(base, NoopResetEnv(5, random=False))
    first = env.reset()
    assert torch.equal(first["pixels"], frame(5, 12, 10))
    assert torch.stack(base.actions).tolist() == [[0, 1, 0]] * 5, "the no-op, wherever it stands"
    assert not first["done"]


def test_another_number_counts_from_the_next_reset_on() -> None:
    base = Console()
    env = TransformedEnv(base, NoopResetEnv(2, random=False))
    env.reset()
    env.transform.noops = 3
    env.reset()
    assert [action.int().argmax().item() for action in base.actions] == [1] * 5


def test_the_user_begins_after_them_and_loses_no_action() -> None:
    env = TransformedEnv(CountingEnv(5), NoopResetEnv(2, random=False))
    rollout = env.rollout(7, break_when_any_done=False)
    assert rollout["observation"].flatten().tolist() == [2, 3, 4, 2, 3, 4, 2]
    assert rollout["next", "observation"].flatten().tolist() == [3, 4, 5, 3, 4, 5, 3]
    assert torch.equal(rollout["next", "reward"], rollout["action"]), "the toy pays the action"
    assert rollout["next", "done"].flatten().tolist() == [False, False, True, False, False, True, False]
    assert not rollout["done"].any()


def test_an_episode_that_ends_on_the_way_is_left() -> None:
    """Steps 1 and 2 of the first, reset, step 1 of the second: it begins at 1, not over."""
    env = TransformedEnv(CountingEnv(2), NoopResetEnv(3, random=False))
    first = env.reset()
    assert first["observation"] == 1
    assert not first["done"]
    assert env.rollout(5)["next", "done"].flatten().tolist() == [True]


def test_the_number_follows_from_the_seed_of_the_env() -> None:
    env = TransformedEnv(CountingEnv(99), NoopResetEnv(30))

    def starts(seed: int) -> list[Any]:
        env.set_seed(seed)
        return [env.reset()["observation"].item() for _ in range(40)]

    one = starts(1)
    torch.rand(3)
    assert starts(1) == one
    assert starts(2) != one
    assert set(one) <= set(range(1, 31)), "from 1 to noops, both included"
    assert len(set(one)) > 10


def test_every_number_is_drawn() -> None:
    env = TransformedEnv(CountingEnv(99), NoopResetEnv(3))
    env.set_seed(0)
    assert {env.reset()["observation"].item() for _ in range(60)} == {1, 2, 3}


def test_without_a_seed_torch_decides() -> None:
    def starts() -> list[Any]:
        torch.manual_seed(3)
        env = TransformedEnv(CountingEnv(99), NoopResetEnv(30))
        return [env.reset()["observation"].item() for _ in range(5)]

    assert starts() == starts()


def test_random_actions_leave_the_global_generator_alone() -> None:
    env = TransformedEnv(FramesEnv(99), NoopResetEnv(5, random=False))
    env.set_seed(0)
    state = torch.random.get_rng_state()
    env.reset()
    assert torch.equal(torch.random.get_rng_state(), state)
    actions = torch.stack(env.base_env.actions)
    assert actions.unique().numel() == 5, "this toy has no no-op"
    env.set_seed(0)
    env.reset()
    assert torch.equal(torch.stack(env.base_env.actions[5:]), actions)


def test_misfits_are_named() -> None:
    with pytest.raises(TransformError, match=r"found a batch \[2\]. Put it into each env of the batch"):
        TransformedEnv(CountingEnv(9, [2]), NoopResetEnv())
    with pytest.raises(ConfigError, match="noops: expected at least 0, found -1"):
        NoopResetEnv(-1)


def test_none_at_all() -> None:
    assert TransformedEnv(CountingEnv(9), NoopResetEnv(0)).reset()["observation"] == 0

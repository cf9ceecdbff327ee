"""Specs that are found by making one step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.env_base import EnvBase
from envcli.errors import EnvError
from envcli.specs import Categorical, Composite, Unbounded
from envcli.testing import check_env_specs


class Unsaid(EnvBase):
    """Says nothing of its entries. The goal is a state: shown once, and read by each step."""

    def __init__(self, batch_size: Any = (), **more: torch.Tensor) -> None:
        super().__init__(batch_size=batch_size)
        self.more = more

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        lead = self.batch_size if tensordict is None else tensordict.batch_size
        return TensorDict({"place": torch.zeros(*lead, 2), "goal": torch.ones(lead, dtype=torch.int64)}, lead)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        place = tensordict["place"] + tensordict["arms", "move"]
        shown = {"place": place, "reward": place.sum(-1, True), "done": place[..., :1] > 3, **self.more}
        return TensorDict(shown, tensordict.batch_size)

    def _set_seed(self, seed: int | None) -> None: ...


def ahead(tensordict: TensorDictBase) -> TensorDictBase:
    return tensordict.set(("arms", "move"), torch.ones(*tensordict.batch_size, 2))


@pytest.mark.parametrize("batch_size", [(), (3,)])
def test_one_step_says_what_there_is(batch_size: tuple[int, ...]) -> None:
    env = Unsaid(batch_size)
    assert env.auto_specs_(ahead, action_key=("arms", "move"), observation_key=["place"]) is env
    shape = env.batch_size
    assert env.observation_spec == Composite(place=Unbounded([*shape, 2]), shape=shape)
    assert env.action_keys == [("arms", "move")]
    assert env.full_action_spec["arms", "move"] == Unbounded([*shape, 2])
    assert env.full_reward_spec == Composite(reward=Unbounded([*shape, 1]), shape=shape)
    flag = Categorical(2, shape=[*shape, 1], dtype=torch.bool)
    assert env.full_done_spec == Composite(done=flag, terminated=flag, shape=shape)
    assert env.state_keys == ["place", "goal"]
    assert env.state_spec["goal"] == Unbounded(shape, dtype=torch.int64)
    assert env.rollout(9, ahead).shape == (*shape, 4)
    check_env_specs(env)


def test_of_an_env_of_any_batch_size_a_step_of_any_will_do() -> None:
    env = Unsaid()
    env.batch_locked = False
    five = env._reset(TensorDict({}, [5]))
    env.auto_specs_(ahead, tensordict=five, action_key=("arms", "move"), observation_key="place")
    assert env.observation_spec == Composite(place=Unbounded([2]))


def test_what_nobody_named_is_named() -> None:
    env = Unsaid(colour=torch.zeros(3), over=torch.tensor([False]))
    with pytest.raises(EnvError, match=r"_step returned \['colour', 'over'\], which no argument names"):
        env.auto_specs_(ahead, action_key=[("arms", "move")], observation_key="place")
    env.auto_specs_(
        ahead, action_key=[("arms", "move")], observation_key=["place", "colour"], done_key=["done", "over"]
    )
    assert env.observation_keys == ["place", "colour"]
    assert env.done_keys == ["done", "over", "terminated"]

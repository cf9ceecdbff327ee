"""InitTracker: the first step of each episode is marked."""

from __future__ import annotations

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.specs import Categorical
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.rename import RenameTransform


class TestMarked(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), InitTracker())


def test_marks() -> None:
    env = TransformedEnv(CountingEnv([2, 3], [2]), InitTracker())
    data = env.rollout(5, break_when_any_done=False)
    assert data["is_init"].squeeze(-1).int().tolist() == [[1, 0, 1, 0, 1], [1, 0, 0, 1, 0]]
    assert not data["next", "is_init"].any()
    assert env.observation_spec["is_init"] == Categorical(2, shape=[2, 1], dtype=torch.bool)


def test_by_steps() -> None:
    env = TransformedEnv(CountingEnv(batch_size=[2]), InitTracker("first"))
    td = env.reset()
    assert td["first"].all()
    td = env.step_mdp(env.rand_step(td))
    assert not td["first"].any()
    td = env.reset(td.set("_reset", torch.tensor([[False], [True]])))
    assert td["first"].tolist() == [[False], [True]]


@pytest.mark.parametrize("batch", [[], [2]])
def test_afterwards_it_is_what_the_env_gave(batch: list[int]) -> None:
    data = TransformedEnv(CountingEnv(2, batch), InitTracker()).rollout(5, break_when_any_done=False)
    again = InitTracker()(data.exclude("is_init", ("next", "is_init")))
    assert torch.equal(again["is_init"], data["is_init"])
    assert torch.equal(again["next", "is_init"], data["next", "is_init"])
    piece = InitTracker()(data[..., 1:].clone())
    assert torch.equal(piece["is_init"], data["is_init"][..., 1:, :])


def test_steps_within_a_reset_leave_the_mark() -> None:
    """The user's first observation is the first, whatever was done before it. (TorchRL 0.14 says it is not.)"""
    chain = Compose(InitTracker(), RenameTransform(["is_init"], ["begins"]), NoopResetEnv(3, random=False))
    env = TransformedEnv(CountingEnv(5), chain)
    first = env.reset()
    assert first["begins"].item()
    assert first["observation"] == 3
    data = env.rollout(5, break_when_any_done=False)
    assert data["begins"].flatten().tolist() == [True, False, True, False, True]
    assert not data["next", "begins"].any()

"""EndOfLifeTransform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.end_of_life import EndOfLifeTransform
from tests.transforms.image_toy import FramesEnv


class CountsLives(FramesEnv):
    """With methods, and further in."""

    def lives(self) -> int:
        return int(self.lives_left)

    def counted(self) -> np.int64:
        return np.int64(self.lives())


class TestShown(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([5, 9], [2], lives=True), EndOfLifeTransform())


class TestAsAnAttributeOfABatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([5, 9], [2]), EndOfLifeTransform(eol_attribute="lives_left"))


class TestAsAMethod(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountsLives(5), EndOfLifeTransform(eol_attribute="lives"))


@pytest.mark.parametrize("attribute", ["lives", "counted"])
def test_a_number_of_numpy_counts_too(attribute: str) -> None:
    env = TransformedEnv(CountsLives(5), EndOfLifeTransform(eol_attribute=attribute))
    assert env.rollout(3)["next", "lives"].flatten().tolist() == [9, 8, 8]


@pytest.mark.parametrize("shown", [True, False])
def test_a_life_is_lost_every_second_step(shown: bool) -> None:
    attribute = "unwrapped.ale.lives" if shown else "lives_left"
    env = TransformedEnv(FramesEnv(5, lives=shown), EndOfLifeTransform(eol_attribute=attribute))
    rollout = env.rollout(7, break_when_any_done=False)
    assert rollout["next", "lives"].flatten().tolist() == [9, 8, 8, 7, 7, 9, 8]
    lost = [False, True, False, True, True, False, True]
    assert rollout["next", "end-of-life"].flatten().tolist() == lost, "the fifth because the episode is over"
    assert rollout["lives"].flatten().tolist() == [9, 9, 8, 8, 7, 9, 9]
    assert rollout["end-of-life"].flatten().tolist() == [False, *lost[:4], False, False]
    assert rollout["next", "done"].flatten().tolist() == [False] * 4 + [True, False, False], "it ends nothing"


def test_a_method_and_other_names() -> None:
    env = TransformedEnv(CountsLives(9), EndOfLifeTransform(("game", "lost"), ("game", "left"), eol_attribute="lives"))
    rollout = env.rollout(4)
    assert rollout["next", "game", "lost"].flatten().tolist() == [False, True, False, True]
    assert rollout["next", "game", "left"].dtype == torch.int64


def test_partial_reset_leaves_the_others() -> None:
    env = TransformedEnv(FramesEnv(9, [2]), EndOfLifeTransform(eol_attribute="lives_left"))
    state = env.step_mdp(env.rollout(2)[:, -1])
    assert state["end-of-life"].tolist() == [[True], [True]]
    state["_reset"] = torch.tensor([[True], [False]])
    state = env.reset(state)
    assert state["end-of-life"].tolist() == [[False], [True]]
    assert state["lives"].tolist() == [[9], [8]]


def test_misfits_are_named() -> None:
    with pytest.raises(TransformError, match=r"eol_attribute: the env has no 'unwrapped.ale.lives'. Name an attribute"):
        TransformedEnv(CountingEnv(), EndOfLifeTransform()).reset()
    with pytest.raises(TransformError, match="done_key 'over' does not exist"):
        TransformedEnv(CountingEnv(), EndOfLifeTransform(done_key="over"))


@pytest.mark.parametrize("batch", [[], [2]])
def test_env_time_is_replay_time(batch: list[int]) -> None:
    limit = [5, 3] if batch else 5
    shown = TransformedEnv(FramesEnv(limit, batch, lives=True), EndOfLifeTransform())
    data = shown.rollout(9, break_when_any_done=False)
    replayed = EndOfLifeTransform()(data.exclude("end-of-life", ("next", "end-of-life")))
    for key in ("end-of-life", ("next", "end-of-life")):
        assert torch.equal(replayed[key], data[key]), key


def test_a_rollout_without_lives_is_refused() -> None:
    with pytest.raises(TransformError, match=r"expected 'lives' .* Lives known only to the env cannot be recovered"):
        EndOfLifeTransform()(FramesEnv(5).rollout(3))

"""TimeMaxPool."""

from __future__ import annotations

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.time_max_pool import TimeMaxPool
from envcli.transforms.transform import Transform
from tests.transforms.image_toy import FramesEnv


class Wave(Transform):
    """0, 1, -2, 3, -4, 5, ...: even steps are negative."""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return torch.where(obs % 2 == 0, -obs, obs)


class TestOfFrames(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv(), TimeMaxPool(["pixels"], T=2))


class TestOfABatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([3, 4, 9], [3]), TimeMaxPool(T=3))


def test_the_largest_of_the_episode_so_far() -> None:
    env = TransformedEnv(CountingEnv(5), Compose(Wave(["observation"]), TimeMaxPool(T=3, out_keys=["most"])))
    rollout = env.rollout(8, break_when_any_done=False)
    assert rollout["observation"].flatten().tolist() == [0, 1, -2, 3, -4, 0, 1, -2]
    assert rollout["most"].flatten().tolist() == [0, 1, 1, 3, 3, 0, 1, 1]
    assert rollout["next", "most"].flatten().tolist() == [1, 1, 3, 3, 5, 1, 1, 3]


def test_what_was_before_an_episode_does_not_count() -> None:
    """Negative values only: a zero of empty memory would win."""
    env = TransformedEnv(CountingEnv(4), Compose(Wave(["observation"]), Shift(["observation"]), TimeMaxPool(T=2)))
    assert env.rollout(3)["observation"].flatten().tolist() == [-9, -8, -8]


class Shift(Transform):
    """Nine less."""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs - 9


@pytest.mark.parametrize("batch", [[], [2]])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_rollout_gets_what_the_env_gets(batch: list[int], count: int) -> None:
    limit = [3, 5] if batch else 3
    raw = FramesEnv(limit, batch).rollout(9, break_when_any_done=False)
    pool = TimeMaxPool(["pixels"], T=count)
    seen = TransformedEnv(FramesEnv(limit, batch), pool).rollout(9, break_when_any_done=False)
    replayed = TimeMaxPool(["pixels", ("next", "pixels")], T=count)(raw)
    assert torch.equal(replayed["pixels"], seen["pixels"])
    assert torch.equal(replayed["next", "pixels"], seen["next", "pixels"])


def test_partial_reset_leaves_the_others() -> None:
    chain = Compose(Wave(["observation"]), TimeMaxPool(T=2, out_keys=["most"]))
    env = TransformedEnv(CountingEnv(9, [2]), chain)
    state = env.step_mdp(env.rollout(3)[:, -1])
    state["_reset"] = torch.tensor([[True], [False]])
    assert env.reset(state)["most"].tolist() == [[0], [3]]
    assert env.rand_step(state)["next", "most"].tolist() == [[1], [3]]


def test_misfits_are_named() -> None:
    with pytest.raises(ConfigError, match="T: expected at least 1 step, found 0"):
        TimeMaxPool(T=0)
    with pytest.raises(TransformError, match=r"\['observation'\] do not exist. The env has: done, pixels"):
        TransformedEnv(FramesEnv(), TimeMaxPool())


def test_numbers_that_numpy_does_not_know_are_refused() -> None:
    cast = DTypeCastTransform("float32", "bfloat16", ["observation"])
    with pytest.raises(TransformError, match="cannot compute with bfloat16"):
        TransformedEnv(CountingEnv(), Compose(cast, TimeMaxPool(T=2)))


def test_a_rollout_is_changed_under_next_too() -> None:
    pool = TimeMaxPool(["pixels"], T=2)
    seen = TransformedEnv(FramesEnv(3), pool).rollout(7, break_when_any_done=False)
    replayed = pool.clone()(FramesEnv(3).rollout(7, break_when_any_done=False))
    assert torch.equal(replayed["next", "pixels"], seen["next", "pixels"])


def test_a_reward_has_no_first_value() -> None:
    with pytest.raises(TransformError, match="'reward' is a reward, which no reset shows"):
        TransformedEnv(CountingEnv(3), TimeMaxPool(["reward"], T=2))

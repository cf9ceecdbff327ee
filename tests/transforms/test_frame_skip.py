"""FrameSkipTransform."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Composite, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.frame_skip import FrameSkipTransform
from envcli.transforms.rename import RenameTransform
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.time_max_pool import TimeMaxPool
from tests.transforms.image_toy import FramesEnv, frame


class TestOfOne(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(7), FrameSkipTransform(3))


class TestOfABatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([5, 8], [2]), Compose(StepCounter(), FrameSkipTransform(3)))


class TestOfABatchWithoutMemory(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(2.5, [3]), FrameSkipTransform(2))


def ones(env: Env) -> torch.Tensor:
    return torch.ones_like(env.action_spec.rand())


def test_rewards_are_summed_up_to_the_end_of_the_episode() -> None:
    base = FramesEnv(7)
    rollout = TransformedEnv(base, FrameSkipTransform(3)).rollout(3)
    assert rollout["next", "reward"].flatten().tolist() == [1 + 2 + 3, 4 + 5 + 6, 7]
    assert rollout["next", "done"].flatten().tolist() == [False, False, True]
    assert torch.equal(rollout["next", "pixels"][0], frame(3, 12, 10))
    assert torch.equal(torch.stack(base.actions)[:3], rollout["action"][[0, 0, 0]]), "the action is held"
    assert len(base.actions) == 7


def test_the_clock_of_the_env_is_as_much_slower() -> None:
    base = CountingEnv(7)
    base.step_seconds = 0.5  # as an env of somebody's own may say it
    env = TransformedEnv(base, Compose(FrameSkipTransform(3), StepCounter(), FrameSkipTransform(2)))
    assert env.step_seconds == 3.0
    env.transform[0].frame_skip = 1
    assert env.step_seconds == 1.0
    assert not hasattr(env, "frames_per_step")
    base.step_seconds = None
    assert env.step_seconds is None


def test_another_number_counts_from_the_next_step_on() -> None:
    env = TransformedEnv(FramesEnv(99), FrameSkipTransform(2))
    first = env.rand_step(env.reset())
    env.transform.frame_skip = 4
    second = env.rand_step(env.step_mdp(first))
    assert first["next", "reward"].item() == 1 + 2
    assert second["next", "reward"].item() == 3 + 4 + 5 + 6


def test_in_a_batch_an_env_that_is_done_waits() -> None:
    env = TransformedEnv(FramesEnv([2, 9], [2]), FrameSkipTransform(4))
    step = env.rand_step(env.reset())["next"]
    assert step["reward"].tolist() == [[1 + 2], [1 + 2 + 3 + 4]]
    assert step["done"].tolist() == [[True], [False]]
    assert torch.equal(step["pixels"][0], frame(2, 12, 10))
    assert torch.equal(step["pixels"][1], frame(4, 12, 10))


def test_state_moves_along_and_the_root_stays() -> None:
    env = TransformedEnv(StatelessEnv(10.0), FrameSkipTransform(3))
    rollout = env.rollout(2, lambda td: td.set("action", torch.ones(1)))
    assert rollout["position"].flatten().tolist() == [0, 3]
    assert rollout["next", "position"].flatten().tolist() == [3, 6]


def test_transforms_before_it_run_in_every_frame_and_those_after_it_once() -> None:
    before = TransformedEnv(CountingEnv(99), Compose(StepCounter(), FrameSkipTransform(3))).rollout(2)
    after = TransformedEnv(CountingEnv(99), Compose(FrameSkipTransform(3), StepCounter())).rollout(2)
    assert before["next", "step_count"].flatten().tolist() == [3, 6]
    assert before["step_count"].flatten().tolist() == [0, 3]
    assert after["next", "step_count"].flatten().tolist() == [1, 2]
    assert after["next", "observation"].flatten().tolist() == [3, 6]


def test_a_count_before_it_may_end_the_episode() -> None:
    env = TransformedEnv(CountingEnv(99), Compose(StepCounter(max_steps=5), FrameSkipTransform(3)))
    assert env.rollout(9)["next", "step_count"].flatten().tolist() == [3, 5]


@pytest.mark.parametrize("shown", [True, False])
def test_a_count_after_it_begins_anew_whether_it_is_shown_or_not(shown: bool) -> None:
    chain = Compose(FrameSkipTransform(2), StepCounter(max_steps=3))
    if not shown:
        chain.append(ExcludeTransform("step_count"))
    data = TransformedEnv(CountingEnv(99), chain).rollout(7, break_when_any_done=False)
    assert data["next", "done"].flatten().int().tolist() == [0, 0, 1, 0, 0, 1, 0]


def test_the_last_two_frames_are_pooled() -> None:
    """As for Atari: TimeMaxPool in every frame, FrameSkipTransform behind it."""
    env = TransformedEnv(FramesEnv(99), Compose(TimeMaxPool(["pixels"], T=2), FrameSkipTransform(4)))
    rollout = env.rollout(2)
    for step, last in ((0, 4), (1, 8)):
        wanted = torch.maximum(frame(last - 1, 12, 10), frame(last, 12, 10))
        assert torch.equal(rollout["next", "pixels"][step], wanted)


def test_a_copy_stands_alone() -> None:
    env = TransformedEnv(CountingEnv(99), FrameSkipTransform(3))
    env.rollout(2)
    other = TransformedEnv(CountingEnv(99), env.transform.clone())
    assert other.rollout(2)["next", "observation"].flatten().tolist() == [3, 6]
    assert env.transform.parent.rollout(2)["next", "observation"].flatten().tolist() == [1, 2]
    assert env.rollout(2)["next", "observation"].flatten().tolist() == [3, 6]


def test_less_than_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="frame_skip: expected a whole number of at least 1, found 0"):
        FrameSkipTransform(0)


def test_rewards_that_numpy_does_not_know_are_refused() -> None:
    cast = DTypeCastTransform("float32", "bfloat16", ["reward"])
    with pytest.raises(TransformError, match="cannot compute with bfloat16"):
        TransformedEnv(CountingEnv(), Compose(cast, FrameSkipTransform(2)))


class PaysOne(CountingEnv):
    """A reward without a dimension."""

    def _make_specs(self) -> None:
        super()._make_specs()
        self.full_reward_spec = Composite(reward=Unbounded(()))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        return super()._step(tensordict).set("reward", torch.ones(()))


def test_a_reward_without_a_dimension_is_summed_too() -> None:
    env = TransformedEnv(PaysOne(6), FrameSkipTransform(4))
    assert env.rollout(9)["next", "reward"].tolist() == [4, 2]


def test_what_is_a_sum_already_is_not_summed() -> None:
    rename = RenameTransform(["episode_reward"], ["total"], ["episode_reward"], ["total"])
    chain = Compose(RewardSum(reward_spec=True), rename, FrameSkipTransform(4))
    env = TransformedEnv(CountingEnv(99), chain)
    data = env.rollout(3, lambda td: td.set("action", torch.ones(1)))
    assert data["next", "reward"].flatten().tolist() == [4, 4, 4]
    assert data["next", "total"].flatten().tolist() == [4, 8, 12]


def test_a_finished_rollout_is_refused() -> None:
    rollout = CountingEnv(9).rollout(4)
    with pytest.raises(TransformError, match="repeats steps of an env, but those of a TensorDict are already done"):
        FrameSkipTransform(2)(rollout)
    assert FrameSkipTransform(1)(rollout) is rollout

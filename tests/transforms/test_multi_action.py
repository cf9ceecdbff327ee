"""MultiAction: a chunk of actions in each step."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDictBase

from envcli import make_env
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, TransformError
from envcli.specs import Bounded, Composite, OneHot, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.multi_action import MultiAction
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from tests.envs.by_hand import by_hand
from tests.transforms.image_toy import FramesEnv, frame
from tests.transforms.test_step_counter import Team


class TestOfOne(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(7), MultiAction(steps=3))


class TestStacks(EnvContract):
    def make_env(self) -> Env:
        chain = Compose(StepCounter(), InitTracker(), MultiAction(steps=3, stack_observations=True))
        return TransformedEnv(CountingEnv([5, 8], [2]), chain)


class TestLast(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(2.5, [3]), MultiAction(steps=2, stack_rewards=False, chunk_key="chunk"))


class TestTeam(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Team(5, (2,)), MultiAction(steps=2, dim=2, stack_observations=True))


def tenths(td: TensorDictBase) -> TensorDictBase:
    """0.125, 0.25, 0.375."""
    return td.set("action", (torch.arange(1, 4.0).view(3, 1) / 8).expand(*td.shape, 3, 1).clone())


def test_every_action_is_made_and_every_reward_shown() -> None:
    env = TransformedEnv(CountingEnv(5), MultiAction(steps=3))
    data = env.rollout(9, tenths)
    assert data["next", "observation"].flatten().tolist() == [3, 5]
    assert data["next", "reward"].squeeze(-1).tolist() == [[0.125, 0.25, 0.375], [0.125, 0.25, 0]]
    assert data["next", "done"].flatten().tolist() == [False, True]
    assert env.base_env.steps_made == 5


def test_the_last_reward_is_the_one_that_was_paid_last() -> None:
    """TorchRL 0.14 shows 0 there, and loses what the end of an episode pays."""
    data = TransformedEnv(CountingEnv(5), MultiAction(steps=3, stack_rewards=False)).rollout(9, tenths)
    assert data["next", "reward"].flatten().tolist() == [0.375, 0.25]


def test_all_observations_and_at_the_root_what_the_step_before_has_shown() -> None:
    data = TransformedEnv(CountingEnv(5), MultiAction(steps=3, stack_observations=True)).rollout(9, tenths)
    assert data["next", "observation"].squeeze(-1).tolist() == [[1, 2, 3], [4, 5, 5]]
    assert data["observation"].squeeze(-1).tolist() == [[0, 0, 0], [1, 2, 3]]


def test_in_a_batch_an_env_that_is_done_waits() -> None:
    """What SerialEnv shows in TorchRL 0.14 of the one that ends first: rewards 0.125 three times."""
    env = TransformedEnv(CountingEnv([4, 9], [2]), MultiAction(steps=3, stack_observations=True))
    data = env.rollout(3, tenths, break_when_any_done=False)
    assert data["next", "observation"][0].squeeze(-1).tolist() == [[1, 2, 3], [4, 4, 4], [1, 2, 3]]
    assert data["observation"][0].squeeze(-1).tolist() == [[0, 0, 0], [1, 2, 3], [0, 0, 0]]
    assert data["next", "observation"][1].squeeze(-1).tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert data["next", "reward"][0, 1].flatten().tolist() == [0.125, 0, 0]
    assert data["next", "reward"][1, 1].flatten().tolist() == [0.125, 0.25, 0.375]
    assert data["next", "done"].squeeze(-1).tolist() == [[False, True, False], [False, False, True]]


@pytest.mark.parametrize("stacks", [False, True])
def test_a_batch_of_them_is_one_of_a_batch(stacks: bool) -> None:
    def make() -> Env:
        return TransformedEnv(CountingEnv(4), MultiAction(steps=3, stack_observations=stacks))

    options = {"break_when_any_done": False}
    wanted = TransformedEnv(CountingEnv(4, [2]), MultiAction(steps=3, stack_observations=stacks))
    wanted = wanted.rollout(5, tenths, **options)
    for kind in (SerialEnv, ParallelEnv):
        with kind(2, make) as env:
            data = env.rollout(5, tenths, **options)
        for key in ("observation", ("next", "observation"), ("next", "reward"), ("next", "done")):
            assert torch.equal(data[key], wanted[key]), key
        outside = TransformedEnv(kind(2, lambda: CountingEnv(4)), MultiAction(steps=3, stack_observations=stacks))
        with outside:
            data = outside.rollout(5, tenths, **options)
        for key in ("observation", ("next", "observation"), ("next", "reward"), ("next", "done")):
            assert torch.equal(data[key], wanted[key]), key


def test_step_by_step_it_is_the_same() -> None:
    env = TransformedEnv(CountingEnv(5), Compose(StepCounter(), MultiAction(steps=3, stack_observations=True)))
    env.set_seed(0)
    data = env.rollout(4, tenths, break_when_any_done=False)
    env.set_seed(0)
    together = by_hand(env, tenths, 4)
    for key in data.keys(True, True):
        assert torch.equal(data[key], together[key]), key


def test_state_moves_along_and_the_root_stays() -> None:
    env = TransformedEnv(StatelessEnv(10.0), MultiAction(steps=3, stack_observations=True))
    data = env.rollout(2, lambda td: td.set("action", torch.tensor([[0.25], [0.5], [1.0]])))
    assert data["position"].flatten().tolist() == [0, 1.75], "a step reads it, so it is no stack"
    assert data["next", "position"].flatten().tolist() == [1.75, 3.5]


def test_transforms_before_it_run_in_every_step_and_those_after_it_once() -> None:
    chain = Compose(
        StepCounter(step_count_key="all"),
        RewardSum(reward_spec=True),
        MultiAction(steps=3),
        StepCounter(step_count_key="own"),
    )
    data = TransformedEnv(CountingEnv(5), chain).rollout(9, tenths)
    assert data["next", "all"].flatten().tolist() == [3, 5]
    assert data["next", "own"].flatten().tolist() == [1, 2]
    assert data["next", "episode_reward"].flatten().tolist() == [0.75, 1.125], "a step reads it, so it is no stack"


def test_frames_are_stacked() -> None:
    data = TransformedEnv(FramesEnv(5), MultiAction(steps=2, stack_observations=True)).rollout(2)
    assert data["next", "pixels"].shape[:2] == (2, 2)
    for step in range(4):
        assert torch.equal(data["next", "pixels"].flatten(0, 1)[step], frame(step + 1, 12, 10))


def test_the_clock_of_the_env_is_as_much_slower() -> None:
    base = CountingEnv(7)
    base.step_seconds = 0.5
    assert TransformedEnv(base, MultiAction(steps=3)).step_seconds == 1.5


def test_another_number_counts_from_the_next_step_on() -> None:
    env = TransformedEnv(CountingEnv(9), MultiAction(steps=2))
    env.rollout(1)
    env.transform.steps = 3
    assert env.action_spec.shape == (3, 1)
    assert env.rollout(1, tenths)["next", "observation"].item() == 3


def test_the_chunk_may_have_a_name_of_its_own() -> None:
    env = TransformedEnv(CountingEnv(9), MultiAction.from_vla(steps=3, stack_rewards=False))
    assert env.action_keys == [("vla_action", "chunk")]
    assert env.full_action_spec["vla_action", "chunk"] == Bounded(-1, 1, (3, 1))
    data = env.rollout(2, lambda td: td.set(("vla_action", "chunk"), torch.full((3, 1), 0.5)))
    assert data["next", "reward"].flatten().tolist() == [0.5, 0.5]
    assert "action" not in data


def test_keys_may_be_nested() -> None:
    env = TransformedEnv(NestedEnv(9), MultiAction(steps=2))
    assert env.rollout(2)["next", "agent", "reward"].shape == (2, 2, 1)


def test_the_agents_of_a_group_keep_their_dimension() -> None:
    env = TransformedEnv(Team(9), MultiAction(steps=3, dim=2))
    data = env.rollout(2)
    assert data["agents", "action"].shape == (2, 2, 3, 1)
    assert data["next", "agents", "reward"].shape == (2, 2, 3, 1)
    with pytest.raises(TransformError, match=r"do not fit its group. Put them behind .* group: dim=2"):
        TransformedEnv(Team(9), MultiAction(steps=3))


class PaysOne(CountingEnv):
    """A reward without a dimension, and choices."""

    def _make_specs(self) -> None:
        super()._make_specs()
        self.full_reward_spec = Composite(reward=Unbounded(()))
        self.full_action_spec = Composite(action=OneHot(3))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        return super()._step(tensordict).set("reward", torch.ones(()))


def test_choices_and_a_reward_without_a_dimension() -> None:
    env = TransformedEnv(PaysOne(5), MultiAction(steps=3))
    data = env.rollout(9)
    assert data["next", "reward"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert data["action"].shape == (2, 3, 3)
    assert data["action"].sum(-1).eq(1).all()
    with pytest.raises(TransformError, match=r"'action', \[3\], 0 of which are the batch, has no place .* dim=2"):
        TransformedEnv(PaysOne(5), MultiAction(steps=3, dim=2, stack_rewards=False))


def test_from_yaml() -> None:
    with make_env("env=pendulum", "transforms=[multi_action]", "transforms.multi_action.steps=5") as env:
        assert env.rollout(2)["next", "reward"].shape == (2, 5, 1)


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match=r"steps: expected how many .*, found None. Type MultiAction\(steps=4\)"):
        MultiAction()
    with pytest.raises(ConfigError, match="dim: expected at least 1"):
        MultiAction(steps=2, dim=0)
    with pytest.raises(TransformError, match="makes steps of an env: add it to one"):
        MultiAction(steps=2)(CountingEnv().rollout(2))
    with pytest.raises(TransformError, match=r"in_keys_inv \['move'\] do not exist"):
        TransformedEnv(CountingEnv(), MultiAction(steps=2, action_key="move"))
    with pytest.raises(ActionError):
        TransformedEnv(CountingEnv(), MultiAction(steps=2)).rollout(2, tenths)

"""ConditionalSkip: steps that are not made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli import make_env
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.conditional_skip import ConditionalSkip
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.frame_skip import FrameSkipTransform
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.rename import RenameTransform
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform
from tests.envs.by_hand import by_hand
from tests.transforms.test_any_batch import Adding


def negative(td: TensorDictBase) -> torch.Tensor:
    return td["action"] < 0


def odd(td: TensorDictBase) -> torch.Tensor:
    return td["step_count"] % 2 == 1


class TestIt(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(4), Compose(InitTracker(), ConditionalSkip(negative), StepCounter()))


class TestStateless(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(2.0), ConditionalSkip(lambda td: td["action"] < 0.5))


class TestHidden(EnvContract):
    def make_env(self) -> Env:
        chain = Compose(StepCounter(max_steps=3), ConditionalSkip(negative), ExcludeTransform("step_count"))
        return TransformedEnv(CountingEnv(9), chain)


class Played:
    """A policy that plays these actions."""

    def __init__(self, *actions: float) -> None:
        self.actions = iter(actions)

    def __call__(self, td: TensorDictBase) -> TensorDictBase:
        return td.set("action", torch.tensor([next(self.actions)]))


def test_a_step_that_is_left_out_leads_to_where_it_began() -> None:
    chain = Compose(StepCounter(step_count_key="made"), ConditionalSkip(negative), StepCounter())
    env = TransformedEnv(base := CountingEnv(3), chain)
    data = env.rollout(9, Played(0.5, -1, 0.25, -1, -1, 1))
    assert data["observation"].flatten().tolist() == [0, 1, 1, 2, 2, 2]
    assert data["next", "observation"].flatten().tolist() == [1, 1, 2, 2, 2, 3]
    assert data["next", "reward"].flatten().tolist() == [0.5, 0, 0.25, 0, 0, 1]
    assert data["next", "made"].flatten().tolist() == [1, 1, 2, 2, 2, 3]
    assert data["next", "step_count"].flatten().tolist() == [1, 2, 3, 4, 5, 6]
    assert data["next", "done"].flatten().tolist() == [False] * 5 + [True]
    assert base.steps_made == 3


def test_the_example_of_torchrl() -> None:
    """Its values, where the outer counter stands in a second env around the first."""
    count = StepCounter(step_count_key="made")
    skip = ConditionalSkip(lambda td: td["observation"] % 2 == 1)
    env = TransformedEnv(CountingEnv(9), Compose(count, skip, StepCounter()))
    data = env.rollout(5)
    assert data["made"].flatten().tolist() == [0, 1, 1, 1, 1]
    assert data["step_count"].flatten().tolist() == [0, 1, 2, 3, 4]


def test_names_behind_it_and_hidden_states_before_it() -> None:
    chain = Compose(
        StepCounter(max_steps=2),
        ConditionalSkip(negative),
        ExcludeTransform("step_count"),
        RenameTransform(["observation"], ["seen"], ["action"], ["move"]),
    )
    env = TransformedEnv(CountingEnv(9), chain)
    moves = iter([1.0, -1.0, 1.0] * 2)
    data = env.rollout(6, lambda td: td.set("move", torch.tensor([next(moves)])), break_when_any_done=False)
    assert data["next", "seen"].flatten().tolist() == [1, 1, 2, 1, 1, 2]
    assert data["next", "truncated"].flatten().int().tolist() == [0, 0, 1, 0, 0, 1]


@pytest.mark.parametrize("chain", ["flat", "frames"])
def test_by_hand_it_is_the_same(chain: str) -> None:
    last: Transform = StepCounter() if chain == "flat" else FrameSkipTransform(2)
    first = StepCounter(step_count_key="made")
    env = TransformedEnv(CountingEnv(5), Compose(first, ConditionalSkip(negative), last))
    env.set_seed(0)
    torch.manual_seed(0)
    data = env.rollout(12, break_when_any_done=False)
    env.set_seed(0)
    actions = iter(data["action"])
    together = by_hand(env, lambda td: td.set("action", next(actions)), 12)
    for key in data.keys(True, True):
        assert torch.equal(data[key], together[key]), key


def test_a_sum_of_the_episode_stays_and_a_mark_of_its_beginning_goes() -> None:
    chain = Compose(RewardSum(reward_spec=True), InitTracker(), ConditionalSkip(negative))
    data = TransformedEnv(CountingEnv(2), chain).rollout(6, Played(-1, 0.5, -1, 0.25, -1, 1), break_when_any_done=False)
    assert data["next", "episode_reward"].flatten().tolist() == [0, 0.5, 0.5, 0.75, 0, 1]
    assert data["is_init"].flatten().int().tolist() == [1, 0, 0, 0, 1, 0]


def test_it_may_wait_within_a_repeated_step_and_around_one() -> None:
    inside = TransformedEnv(CountingEnv(9), Compose(ConditionalSkip(negative), FrameSkipTransform(3)))
    assert inside.rollout(2, Played(1, -1))["next", "observation"].flatten().tolist() == [3, 3]
    around = TransformedEnv(CountingEnv(9), Compose(FrameSkipTransform(3), ConditionalSkip(negative)))
    assert around.rollout(3, Played(1, -1, 1))["next", "observation"].flatten().tolist() == [3, 3, 6]
    both = Compose(ConditionalSkip(negative), StepCounter(), ConditionalSkip(odd), StepCounter(step_count_key="all"))
    data = TransformedEnv(CountingEnv(9), both).rollout(3, Played(-1, 1, 1))
    assert data["next", "observation"].flatten().tolist() == [0, 0, 0]
    assert data["next", "step_count"].flatten().tolist() == [1, 1, 1]
    assert data["next", "all"].flatten().tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", [SerialEnv, ParallelEnv])
def test_the_envs_of_a_batch_have_one_each(kind: type[SerialEnv] | type[ParallelEnv]) -> None:
    def make() -> Env:
        return TransformedEnv(CountingEnv(9), ConditionalSkip(negative))

    def policy(td: TensorDictBase) -> TensorDictBase:
        return td.set("action", torch.tensor([[1.0], [-1.0]]))

    with kind(2, make) as env:
        data = env.rollout(3, policy)
        assert data["next", "observation"].squeeze(-1).tolist() == [[1, 2, 3], [0, 0, 0]]
        td = env.step(policy(env.reset()))
        assert td["next", "observation"].squeeze(-1).tolist() == [1, 0]
    with pytest.raises(TransformError, match=r"is for single envs, found a batch \[2\]. Put it into each env"):
        TransformedEnv(CountingEnv(batch_size=[2]), ConditionalSkip(negative))


def test_a_name_from_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules.py").write_text("def always(td):\n    return True\n")
    monkeypatch.chdir(tmp_path)
    words = ["env=pendulum", "transforms=[step_counter,conditional_skip]", "allow_imports=true"]
    with make_env(*words, "transforms.conditional_skip.cond=rules:always") as env:
        data = env.rollout(3)
    assert data["next", "step_count"].sum() == 0
    assert torch.equal(data["next", "observation"], data["observation"])


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match="cond: expected a function that takes a TensorDict, found 3"):
        ConditionalSkip(3)  # type: ignore[arg-type]
    with pytest.raises(TransformError, match="those of a TensorDict are already done"):
        ConditionalSkip(negative)(TensorDict({}))
    env = TransformedEnv(Adding(), ConditionalSkip(lambda td: False))
    many = TensorDict({"x": torch.zeros(3, 2), "action": torch.zeros(3, 2)}, [3])
    with pytest.raises(TransformError, match="works on the steps of an env only"):
        env.step(many)
    assert repr(ConditionalSkip(negative)) == "ConditionalSkip(cond=negative)"

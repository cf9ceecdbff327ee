"""RandomTruncationTransform: ends episodes at random."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.batched_env import BatchedEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.random_truncation import RandomTruncationTransform
from envcli.transforms.step_counter import StepCounter
from tests.transforms.test_any_batch import Adding
from tests.transforms.test_step_counter import Team


def truncated(env: Env, *args: Any, **kwargs: Any) -> TransformedEnv:
    return TransformedEnv(env, Compose(StepCounter(), RandomTruncationTransform(*args, **kwargs)))


class TestOfOne(EnvContract):
    def make_env(self) -> Env:
        return truncated(CountingEnv(9), 2, 5, 0.5)


class TestOfABatch(EnvContract):
    def make_env(self) -> Env:
        return truncated(CountingEnv([9, 3], [2]), 2, 5, 0.5)


class TestWithAFlagOfItsOwn(EnvContract):
    def make_env(self) -> Env:
        return truncated(StatelessEnv(), 2, 5, truncated_key="cut")


class TestTeam(EnvContract):
    def make_env(self) -> Env:
        return truncated(Team(4, (2,)), 2, 5)


class TestByTensorDicts(EnvContract):
    def make_env(self) -> Env:
        class Asked(RandomTruncationTransform):
            def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
                return super()._step(tensordict, next_tensordict)

            def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
                return super()._reset(tensordict, tensordict_reset)

        return TransformedEnv(CountingEnv([9, 3], [2]), Compose(StepCounter(), Asked(2, 5, 0.5)))


def lengths(env: Env, steps: int) -> list[list[int]]:
    """Those of the whole episodes of each env."""
    data = env.rollout(steps, break_when_any_done=False)["next"].reshape(-1, steps)
    assert torch.equal(data["done"], data["truncated"] | data["terminated"])
    found: list[list[int]] = [
        counts[done].tolist()
        for counts, done in zip(data["step_count"].squeeze(-1), data["done"].squeeze(-1), strict=True)
    ]
    return found


def test_the_first_episodes_spread_and_later_ones_are_whole() -> None:
    """Their ends are what TorchRL's are: only the first one of each env is cut."""
    env = truncated(CountingEnv(99, [50]), 3, 10)
    env.set_seed(0)
    found = lengths(env, 60)
    assert {each[0] for each in found} == set(range(1, 11))
    assert all(set(each[1:]) == {10} for each in found)


def test_later_ones_are_cut_as_often_as_is_said() -> None:
    env = truncated(CountingEnv(99, [20]), 3, 10, 0.25)
    env.set_seed(0)
    later = torch.tensor([length for each in lengths(env, 1000) for length in each[1:]])
    assert set(later.tolist()) == set(range(3, 11))
    share = (later < 10).float().mean()
    assert abs(share - 0.25 * 7 / 8) < 0.03, "an eighth of the draws is the full horizon"


@pytest.mark.parametrize(("prob", "first", "second", "third"), [(0.0, 1.0, {3}, {9}), (1.0, 0.0, {9}, {3})])
def test_the_second_one_has_a_probability_of_its_own(prob: float, first: float, second: Any, third: Any) -> None:
    env = truncated(CountingEnv(99, [30]), 3, 9, prob, first)
    env.transform[1].max_horizon = 9
    env.set_seed(0)
    found = lengths(env, 80)
    assert ({each[1] for each in found} == {9}) is (second == {9})
    assert ({each[2] for each in found} == {9}) is (third == {9})


def test_an_episode_that_ends_by_itself_ends() -> None:
    env = truncated(CountingEnv(2), 5, 9)
    assert {length for each in lengths(env, 40) for length in each} <= {1, 2}
    last = env.rollout(3)["next"][-1]
    assert last["terminated"].item() is not last["truncated"].item()


def test_every_rollout_draws_anew() -> None:
    """A reset of all envs begins episodes too; TorchRL leaves them the horizon of the first."""
    env = truncated(CountingEnv(99), 1, 30, 1.0)
    env.set_seed(0)
    assert len({len(env.rollout(40)) for _ in range(10)}) > 5


def test_it_follows_from_the_seed_and_from_nothing_else() -> None:
    env = truncated(CountingEnv(99, [3]), 1, 9, 0.5)

    def found(seed: int) -> list[list[int]]:
        env.set_seed(seed)
        return lengths(env, 50)

    one = found(1)
    torch.rand(3)
    assert found(1) == one, "also on the same env: its first episodes are first again"
    assert found(2) != one


def test_without_a_seed_torch_decides() -> None:
    def found() -> list[list[int]]:
        torch.manual_seed(3)
        return lengths(truncated(CountingEnv(99), 1, 9, 0.5), 50)

    assert found() == found()


def make_truncated() -> Env:
    return truncated(CountingEnv(99), 1, 9, 0.5)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_change_nothing(workers: int) -> None:
    def found(batch: BatchedEnv) -> list[list[int]]:
        with batch as env:
            env.set_seed(5)
            return lengths(env, 40)

    each = found(SerialEnv(3, make_truncated))
    assert found(ParallelEnv(3, make_truncated, num_workers=workers)) == each
    assert len({tuple(lengths) for lengths in each}) == 3


def test_a_partial_reset_draws_for_whom_it_names() -> None:
    env = truncated(CountingEnv(99, [2]), 6, 9)
    env.set_seed(0)
    env.set_seed(1)
    td = env.reset()
    before = env.transform[1]._horizons.copy()
    env.reset(td.set("_reset", torch.tensor([[False], [True]])))
    after = env.transform[1]._horizons
    assert after[0] == before[0]
    assert after[1] == 9


@pytest.mark.parametrize("batch", [(), (2,)])
def test_before_any_reset_the_horizon_is_the_longest(batch: tuple[int, ...]) -> None:
    env = truncated(StatelessEnv(99.0, batch), 1, 4)
    begun = TransformedEnv(StatelessEnv(99.0, batch), StepCounter()).reset()
    assert env.rollout(9, auto_reset=False, tensordict=begun).shape == (*batch, 4)


def test_the_count_is_found_in_a_group() -> None:
    env = truncated(Team(99), 1, 4)
    data = env.rollout(12, break_when_any_done=False)["next", "agents"]
    assert data["step_count"].max() <= 4
    assert torch.equal(data["truncated"], data["done"])
    named = truncated(Team(99), 1, 4, step_count_key=("agents", "step_count"), truncated_key=("agents", "late"))
    assert ("agents", "late") in named.done_keys


def test_on_tensordicts_of_another_batch_size() -> None:
    env = truncated(Adding(), 1, 1)
    td = env.reset(TensorDict({}, [2])).set("action", torch.ones(2, 2))
    assert env.step(td)["next", "done"].all()
    assert env.step(td)["next", "truncated"].all()


def test_misuse_is_named() -> None:
    with pytest.raises(TransformError, match=r"no step count 'step_count'. Put StepCounter\(\) before it"):
        TransformedEnv(CountingEnv(), RandomTruncationTransform(1, 5))
    with pytest.raises(TransformError, match=r"no flag 'over', .* The env has \['done', "):
        truncated(CountingEnv(), 1, 5, done_key="over")
    with pytest.raises(TransformError, match="add it to one"):
        RandomTruncationTransform(1, 5)(CountingEnv().rollout(2))
    for args, message in (
        ((3, 2), "min_horizon: expected 1 <= min_horizon <= max_horizon, found min_horizon=3 max_horizon=2"),
        ((0, 2), "found min_horizon=0"),
        ((1, 2, 1.5), "^prob: expected a probability, .* found 1.5"),
        ((1, 2, 0.5, -1.0), "^first_episode_prob: .* found -1.0"),
    ):
        with pytest.raises(ConfigError, match=message):
            RandomTruncationTransform(*args)  # type: ignore[arg-type]

"""BatchSizeTransform: other shapes of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing import EnvContract, check_env_specs
from envcli.testing.toys import CountingEnv
from envcli.transforms.batch_size import BatchSizeTransform
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.compose import Compose
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.target_return import TargetReturn
from envcli.transforms.transform import Transform
from envcli.transforms.vec_norm import VecNorm


def square(td: TensorDictBase) -> TensorDictBase:
    return td.reshape(2, 2)


def flat(td: TensorDictBase) -> TensorDictBase:
    return td.flatten(0, 1)


class Drifting(EnvBase):
    """Goes by its action from 7 up to 9, and takes TensorDicts of any batch size."""

    batch_locked = False

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(observation=Unbounded(1))
        self.action_spec = Bounded(0, 9, shape=[1])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        lead = torch.Size() if tensordict is None else tensordict.batch_size
        return TensorDict({"observation": torch.full((*lead, 1), 7.0)}, lead)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        after = tensordict["observation"] + tensordict["action"]
        return TensorDict({"observation": after, "reward": after, "terminated": after >= 9}, tensordict.batch_size)

    def _set_seed(self, seed: int | None) -> None:
        pass


def by_place(td: TensorDictBase) -> TensorDictBase:
    """Each env goes by its number."""
    return td.set("action", torch.arange(float(td.numel())).view(*td.batch_size, 1))


class TestReshaped(EnvContract):
    def make_env(self) -> Env:
        chain = Compose(StepCounter(4), BatchSizeTransform(reshape_fn=square), RewardSum())
        return TransformedEnv(CountingEnv([2, 3, 5, 9], [4]), chain)


class TestSingleInABatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(3), BatchSizeTransform(reshape_fn=lambda td: td.reshape(1, 1)))


class TestWidened(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Drifting(), Compose(BatchSizeTransform(batch_size=[3]), StepCounter(4)))


def longer(td: TensorDictBase) -> TensorDictBase:
    return td.set("twice", 2 * td["observation"])


CHAINS: list[Callable[[], list[Any]]] = [
    lambda: [StepCounter(4), RewardSum()],
    lambda: [CatFrames(3, dim=-1, in_keys=["observation"]), InitTracker()],
    lambda: [VecNorm(in_keys=["observation"]), StepCounter(3)],
    lambda: [TargetReturn(10.0), ExcludeTransform("observation")],  # keeps rows of its own
    lambda: [longer, StepCounter(3)],
]


def built(base: Env, chain: Sequence[Any], at: int, shape: Callable[..., Any]) -> TransformedEnv:
    return TransformedEnv(base, Compose(*chain[:at], BatchSizeTransform(reshape_fn=shape), *chain[at:]))


def by_hand(env: Env) -> TensorDictBase:
    """Steps, and resets of some envs."""
    td, rows = env.reset(), []
    for i in range(9):
        td, after = env.step_and_maybe_reset(env.rand_action(td))
        rows.append(td.clone())
        mask = torch.arange(env.numel()).eq(i % 4).view(*env.batch_size, 1)
        td = env.reset(after.set("_reset", mask)) if i % 2 else after
    stacked: TensorDictBase = torch.stack(rows, -1)  # type: ignore[call-overload]
    return stacked


WAYS: dict[str, Callable[[Env], TensorDictBase]] = {
    "stops": lambda env: env.rollout(12),
    "resets": lambda env: env.rollout(12, break_when_any_done=False),
    "waits": lambda env: env.rollout(12, break_when_any_done=False, break_when_all_done=True),
    "by hand": by_hand,
}


def assert_same_envs(reshaped: TensorDictBase, plain: TensorDictBase) -> None:
    assert set(reshaped.keys(True, True)) == set(plain.keys(True, True))
    for key, value in plain.items(True, True):
        assert torch.equal(reshaped[key].reshape(value.shape), value), key


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("chain", CHAINS, ids=range(len(CHAINS)))
def test_the_envs_of_a_batch_do_the_same_in_another_shape(chain: Callable[[], list[Any]], at: int, way: str) -> None:
    made = []
    for env in (
        TransformedEnv(CountingEnv([2, 3, 5, 9], [4]), Compose(*chain())),
        built(CountingEnv([2, 3, 5, 9], [4]), chain(), at, square),
    ):
        torch.manual_seed(0)
        made.append(WAYS[way](env))
    assert made[1].batch_size[:2] == (2, 2)
    assert_same_envs(made[1], made[0])


@pytest.mark.parametrize("kind", [SerialEnv, ParallelEnv])
def test_around_a_batch_of_envs(kind: type[SerialEnv]) -> None:
    made = []
    for shape in (None, square):
        batch = kind(4, [lambda limit=limit: CountingEnv(limit) for limit in (2, 3, 4, 5)])
        chain = [StepCounter(3)] if shape is None else [BatchSizeTransform(reshape_fn=shape), StepCounter(3)]
        with TransformedEnv(batch, Compose(*chain)) as env:
            torch.manual_seed(0)
            made.append(env.rollout(9, break_when_any_done=False))
    assert made[1].shape == (2, 2, 9)
    assert_same_envs(made[1], made[0])


def test_single_envs_in_a_shape_of_one_each() -> None:
    one = BatchSizeTransform(reshape_fn=lambda td: td.unsqueeze(0))
    with SerialEnv(2, lambda: TransformedEnv(CountingEnv(9), Compose(NoopResetEnv(2), one.clone()))) as batch:
        env = TransformedEnv(batch, BatchSizeTransform(reshape_fn=lambda td: td.squeeze(1)))
        assert batch.batch_size == (2, 1)
        made = env.rollout(3)
    assert made.shape == (2, 3)
    assert (made["next", "observation"] - made["observation"]).eq(1).all()


def test_there_and_back_is_the_same_memory() -> None:
    env = built(CountingEnv([2, 3, 5, 9], [4]), [BatchSizeTransform(reshape_fn=square)], 1, flat)
    assert env.batch_size == (4,)
    env.rollout(3)
    inner, outer = env._bound_chain.inner, env._bound
    assert outer is not None
    assert inner["observation",].data_ptr() == outer["observation",].data_ptr()
    check_env_specs(env)


def test_what_stands_where() -> None:
    env = built(CountingEnv([2, 3, 5, 9], [4]), [StepCounter(), RewardSum()], 1, square)
    assert [env.transform[i].parent.batch_size for i in range(3)] == [(4,), (4,), (2, 2)]
    assert env.base_env.batch_size == (4,)
    assert env.action_spec.shape == (2, 2, 1)
    alone = env.transform[1]
    assert alone(env.base_env.reset()).batch_size == (2, 2)
    assert alone.inv(env.reset()).batch_size == (4,)
    assert repr(alone) == "BatchSizeTransform(reshape_fn=square)"
    env.append_transform(BatchSizeTransform(reshape_fn=flat))
    assert env.batch_size == env.rollout(2).shape[:1] == (4,)


# -- an env that takes any batch size ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_a_single_env_is_run_as_many(shape: tuple[int, ...]) -> None:
    env = TransformedEnv(Drifting(), BatchSizeTransform(batch_size=shape))
    assert env.batch_size == env.action_spec.shape[:-1] == shape
    assert env.base_env.batch_size == ()
    made = env.rollout(4, by_place, break_when_any_done=False)
    assert made.shape == (*shape, 4)
    seen = made["next", "observation"].view(-1, 4)
    assert seen[:4].tolist() == [[7, 7, 7, 7], [8, 9, 8, 9], [9, 9, 9, 9], [10, 10, 10, 10]]
    assert made["observation"].view(-1, 4)[1].tolist() == [7, 8, 7, 8]


@pytest.mark.parametrize("at", [0, 1])
def test_transforms_on_both_sides_see_all_of_them(at: int) -> None:
    chain: list[Transform] = [StepCounter(3)]
    chain.insert(at, BatchSizeTransform(batch_size=[3]))
    made = TransformedEnv(Drifting(), Compose(*chain)).rollout(4, by_place, break_when_any_done=False)
    assert made["step_count"].squeeze(-1).tolist() == [[0, 1, 2, 0], [0, 1, 0, 1], [0, 0, 0, 0]]


def test_a_function_says_how_they_begin() -> None:
    def apart(td: TensorDictBase | None, shown: TensorDictBase, env: Env) -> TensorDictBase:
        numbers = torch.arange(float(env.numel())).view(*env.batch_size, 1)
        return TensorDict({"observation": shown["observation"] - numbers}, env.batch_size)

    env = TransformedEnv(Drifting(), BatchSizeTransform(batch_size=[3], reset_func=apart, env_kwarg=True))
    assert env.reset()["observation"].flatten().tolist() == [7, 6, 5]
    made = env.rollout(4, by_place, break_when_any_done=False)
    assert made["observation"].squeeze(-1).tolist() == [[7, 7, 7, 7], [6, 7, 8, 6], [5, 7, 5, 7]]
    reshaped = BatchSizeTransform(
        reshape_fn=square, reset_func=lambda td, shown: shown.set("count", shown["count"] + 1)
    )
    assert "count" not in env.reset()
    counted = TransformedEnv(CountingEnv([2, 3, 5, 9], [4]), StepCounter(9, step_count_key="count"))
    shifted = TransformedEnv(counted, reshaped)
    assert shifted.reset()["count"].flatten().tolist() == [1, 1, 1, 1]


# -- misuse -----------------------------------------------------------------------------------------------------------


def test_an_env_of_one_size_cannot_be_widened() -> None:
    with pytest.raises(TransformError, match=r"batch_size \[3\]: CountingEnv has \[\], and only an EnvBase with"):
        TransformedEnv(CountingEnv(), BatchSizeTransform(batch_size=[3]))
    same = TransformedEnv(CountingEnv([2, 3, 5, 9], [4]), BatchSizeTransform(batch_size=[4]))
    assert same.rollout(2).shape == (4, 2)


@pytest.mark.parametrize("function", [lambda td: td.flip(0), lambda td: td[:2]])
def test_other_orders_and_numbers_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TransformError, match="changes the order or the number"):
        TransformedEnv(CountingEnv([2, 3, 5, 9], [4]), BatchSizeTransform(reshape_fn=function))


def test_a_function_of_something_else_is_refused() -> None:
    with pytest.raises(TransformError, match="reshape_fn gave a int, expected a TensorDict"):
        TransformedEnv(CountingEnv(), BatchSizeTransform(reshape_fn=len))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"batch_size": [2], "reshape_fn": square}])
def test_there_is_one_of_the_two(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected one of batch_size and reshape_fn"):
        BatchSizeTransform(**options)

"""TrajCounter: numbers the episodes."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.batched_env import BatchedEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.traj_counter import TrajCounter
from tests.transforms.test_any_batch import Adding
from tests.transforms.test_step_counter import Team


class TestNumbered(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(4), TrajCounter())


class TestBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), TrajCounter())


class TestTeam(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Team(9, (2,)), Compose(StepCounter(3), TrajCounter()))


class TestByTensorDicts(EnvContract):
    def make_env(self) -> Env:
        class Asked(TrajCounter):
            def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
                return super()._step(tensordict, next_tensordict)

            def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
                return super()._reset(tensordict, tensordict_reset)

        return TransformedEnv(CountingEnv([2, 5], [2]), Asked())


def numbers(env: Env, steps: int) -> list[object]:
    """Of each env, step by step; those at the root are those under ``next``."""
    data = env.rollout(steps, break_when_any_done=False)
    assert torch.equal(data["traj_count"], data["next", "traj_count"])
    found: list[object] = data["traj_count"].squeeze(-1).tolist()
    return found


def test_an_episode_has_one_number() -> None:
    env = TransformedEnv(CountingEnv(6), TrajCounter())
    assert numbers(env, 18) == [0] * 6 + [1] * 6 + [2] * 6
    assert numbers(env, 7) == [3] * 6 + [4], "it goes on"
    assert env.observation_spec["traj_count"] == Bounded(0, torch.iinfo(torch.int64).max, shape=[1], dtype=torch.int64)


def test_a_batch_counts_in_the_order_of_its_envs() -> None:
    """As TorchRL 0.14 does around a SerialEnv of episodes of 4 and 5 steps."""
    expected = [[0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4], [1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 5, 5]]
    for env in (CountingEnv([4, 5], [2]), SerialEnv(2, [lambda: CountingEnv(4), lambda: CountingEnv(5)])):
        with TransformedEnv(env, TrajCounter()) as counted:
            assert numbers(counted, 12) == expected


def test_a_partial_reset_counts_whom_it_names() -> None:
    env = TransformedEnv(CountingEnv(99, [3]), TrajCounter())
    td = env.reset()
    assert td["traj_count"].flatten().tolist() == [0, 1, 2]
    td = env.reset(td.set("_reset", torch.tensor([[False], [True], [False]])))
    assert td["traj_count"].flatten().tolist() == [0, 3, 2]
    assert env.rand_step(td)["next", "traj_count"].flatten().tolist() == [0, 3, 2]
    assert env.reset()["traj_count"].flatten().tolist() == [4, 5, 6]


def counted(limit: int, counter: TrajCounter) -> Env:
    return TransformedEnv(CountingEnv(limit), counter.clone())


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_inside_a_batch_each_env_counts_its_own(workers: int) -> None:
    """Clones of one counter too: which worker is first decides nothing."""
    counter, kwargs = TrajCounter(), [{"limit": limit} for limit in (2, 3, 5)]
    for each in kwargs:
        each["counter"] = counter  # type: ignore[assignment]
    batch: BatchedEnv
    if workers:
        batch = ParallelEnv(3, [counted] * 3, create_env_kwargs=kwargs, num_workers=workers)
    else:
        batch = SerialEnv(3, [counted] * 3, create_env_kwargs=kwargs)
    with batch as env:
        assert numbers(env, 6) == [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]]


def test_specs_that_are_asked_for_by_hand_leave_the_env_alone() -> None:
    """As the examples of TorchRL's docstring do, with the spec of the base env."""
    env = TransformedEnv(CountingEnv(2), TrajCounter())
    assert "traj_count" in env.transform.transform_observation_spec(env.base_env.observation_spec)
    assert "traj_count" not in env.base_env.observation_spec
    assert numbers(env, 3) == [0, 0, 1]


def test_the_state_is_that_of_torchrl() -> None:
    env = TransformedEnv(CountingEnv(2), Compose(StepCounter(), TrajCounter()))
    env.rollout(6, break_when_any_done=False)
    assert env.transform[1].state_dict() == {"traj_count": 3}
    assert env.state_dict()["transforms.1.traj_count"] == 3
    other = TransformedEnv(CountingEnv(2), TrajCounter())
    other.load_state_dict({"traj_count": torch.tensor(7)})
    assert other.reset()["traj_count"] == 7
    other.load_state_dict({"traj_count": 0})
    assert other.reset()["traj_count"] == 0


def test_a_seed_does_not_begin_it_anew() -> None:
    env = TransformedEnv(CountingEnv(2), TrajCounter())
    env.set_seed(0)
    env.reset()
    env.set_seed(0)
    assert env.reset()["traj_count"] == 1


def test_beside_the_only_done_and_by_its_own_name() -> None:
    env = TransformedEnv(Team(2), TrajCounter("episode"))
    data = env.rollout(3, break_when_any_done=False)
    assert data["agents", "episode"].squeeze(-1).tolist() == [[0, 1], [0, 1], [2, 3]]
    assert list(TransformedEnv(Team(2), TrajCounter(("agents", "traj_count"))).state_spec.keys(True, True)) == [
        ("agents", "traj_count")
    ]


def test_by_steps_it_goes_on_with_what_it_is_given() -> None:
    env = TransformedEnv(StatelessEnv(), TrajCounter())
    td = env.rand_action(env.reset().set("traj_count", torch.tensor([41])))
    assert env.step(td)["next", "traj_count"] == 41


def test_on_tensordicts_of_another_batch_size() -> None:
    env = TransformedEnv(Adding(), TrajCounter())
    td = env.reset(TensorDict({}, [2]))
    assert td["traj_count"].tolist() == [[0], [1]]
    td = env.step_mdp(env.step(td.set("action", torch.ones(2, 2))))
    td = env.reset(td.set("_reset", torch.tensor([[True], [False]])))
    assert td["traj_count"].tolist() == [[2], [1]]


def test_misuse_is_named() -> None:
    with pytest.raises(TransformError, match=r"no 'done' beside \('agents', 'n'\). The env has \['done'\]"):
        TransformedEnv(CountingEnv(), TrajCounter(("agents", "n")))
    with pytest.raises(TransformError, match="numbers episodes as they begin"):
        TrajCounter()(CountingEnv().rollout(3))

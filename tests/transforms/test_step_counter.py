"""StepCounter: counts the steps of each episode, and may end it."""

from __future__ import annotations

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
from envcli.specs import Bounded, Categorical, Composite, TensorSpec, Unbounded
from envcli.testing import EnvContract, check_env_specs
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.step_counter import StepCounter


class TestCounted(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(5), StepCounter())


class TestLimited(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([9, 2], [2]), StepCounter(max_steps=4))


class Team(EnvBase):
    """Two agents that count, each with a ``done`` of its own in their group, and none outside."""

    def __init__(self, limit: int = 5, batch_size: tuple[int, ...] = ()) -> None:
        super().__init__(batch_size=batch_size)
        self.limit, self._shape = limit, (*batch_size, 2, 1)
        self.count = torch.zeros(self._shape)
        self.observation_spec = self._group(seen=Unbounded(self._shape))
        self.full_action_spec = self._group(action=Categorical(2, shape=self._shape))
        self.full_reward_spec = self._group(reward=Unbounded(self._shape))
        self.full_done_spec = self._group(done=Categorical(2, shape=self._shape, dtype=torch.bool))

    def _group(self, **leaves: TensorSpec) -> Composite:
        return Composite(agents=Composite(**leaves, shape=self._shape[:-1]), shape=self.batch_size)

    def _values(self, **values: torch.Tensor) -> TensorDict:
        group = TensorDict({"seen": self.count.clone(), **values}, batch_size=self._shape[:-1])
        return TensorDict({"agents": group}, batch_size=self.batch_size)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        where = None if tensordict is None else tensordict.get(("agents", "_reset"), None)
        mask = torch.ones(1, dtype=torch.bool) if where is None else where.reshape(*self.batch_size, -1, 1)
        self.count = torch.where(mask, 0.0, self.count)
        return self._values()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.count = self.count + 1
        return self._values(reward=torch.ones(self._shape), done=self.count >= self.limit)

    def _set_seed(self, seed: int | None) -> None:
        pass  # nothing is drawn


class TestTeam(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Team(9), StepCounter(3))


class TestTeamBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Team(9, (2,)), StepCounter(3))


class Asked(StepCounter):
    """It counts on TensorDicts."""

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        return super()._step(tensordict, next_tensordict)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return super()._reset(tensordict, tensordict_reset)


class TestTeamByTensorDicts(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Team(9), Asked(3))


class TimedTeam(Team):
    """The same two, and a ``done`` of all of them at the root, when both are done."""

    def __init__(self, limit: int = 5, batch_size: tuple[int, ...] = ()) -> None:
        super().__init__(limit, batch_size)
        flags = dict.fromkeys(("done", "terminated", "truncated"), Categorical(2, shape=self._shape, dtype=torch.bool))
        root = Categorical(2, shape=(*batch_size, 1), dtype=torch.bool)
        self.full_done_spec = Composite(done=root, agents=Composite(flags, shape=self._shape[:-1]), shape=batch_size)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        where = None if tensordict is None else tensordict.get("_reset", None)
        mask = torch.ones(1, dtype=torch.bool) if where is None else where.unsqueeze(-1)
        self.count = torch.where(mask, 0.0, self.count)
        return self._values()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        result = super()._step(tensordict)
        return result.set("done", result["agents", "done"].all(-2))


class TestTimedTeam(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(TimedTeam(9), StepCounter(3))


class TestTimedTeamBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(TimedTeam(9, (2,)), StepCounter(3))


@pytest.mark.parametrize("kind", [StepCounter, Asked])
@pytest.mark.parametrize("batch", [(), (3,), (3, 1)])
def test_where_all_are_truncated_each_agent_is(batch: tuple[int, ...], kind: type[StepCounter]) -> None:
    env = TransformedEnv(TimedTeam(9, batch), kind(3))
    data = env.rollout(5, break_when_any_done=False)
    replayed = env.transform(TimedTeam(9, batch).rollout(3))
    for steps in (data["next"], replayed["next"]):
        over = steps["step_count"] == 3
        assert over.any()
        for flag in ("truncated", "done"):
            assert torch.equal(steps[flag], over)
            assert torch.equal(steps["agents", flag], torch.stack([over, over], -2)), "as in TorchRL"
        assert not steps["agents", "terminated"].any()


def test_done_of_each_agent_may_be_left_alone_too() -> None:
    following = TransformedEnv(TimedTeam(9), StepCounter(2, update_done=False)).rollout(5)["next"]
    assert following["agents", "truncated"].squeeze(-1).tolist() == [[False, False], [True, True]]
    assert not following["agents", "done"].any()


KEYS: list[dict[str, Any]] = [
    {},
    {"truncated_key": ("agents", "truncated")},
    {"truncated_key": ("agents", "truncated"), "step_count_key": ("agents", "step_count")},
]


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_where_the_only_done_is_in_a_group_all_is_there(keys: dict[str, Any], batch: tuple[int, ...]) -> None:
    env = TransformedEnv(Team(9, batch), StepCounter(3, **keys))
    data = env.rollout(5, break_when_any_done=False)
    counts = data["next", "agents", "step_count"]
    assert counts.shape == (*batch, 5, 2, 1)
    assert counts.reshape(-1, 5, 2).unbind(-1)[1].tolist() == [[1, 2, 3, 1, 2]] * env.numel()
    for flag in ("truncated", "done"):
        assert torch.equal(data["next", "agents", flag], counts == 3)
    assert set(env.done_keys) == {("agents", name) for name in ("done", "terminated", "truncated")}
    replayed = env.transform(Team(9, batch).rollout(3))
    assert torch.equal(replayed["next", "agents", "step_count"], counts.narrow(len(batch), 0, 3))


class TestLimitedBesideDone(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(9, time_limit=7), StepCounter(4, update_done=False))


class TestLimitedWithoutAFlagOfItsOwn(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(3.0, [2]), StepCounter(max_steps=4))


def test_it_counts() -> None:
    data = TransformedEnv(CountingEnv(3), StepCounter()).rollout(5, break_when_any_done=False)
    assert data["step_count"].squeeze(-1).tolist() == [0, 1, 2, 0, 1]
    assert data["next", "step_count"].squeeze(-1).tolist() == [1, 2, 3, 1, 2]
    assert data["step_count"].dtype == torch.int64


def test_it_counts_each_env_of_a_batch() -> None:
    data = TransformedEnv(CountingEnv([2, 3], [2]), StepCounter()).rollout(4, break_when_any_done=False)
    assert data["next", "step_count"].squeeze(-1).tolist() == [[1, 2, 1, 2], [1, 2, 3, 1]]


@pytest.mark.parametrize("batch", [[], [2]])
def test_it_truncates(batch: list[int]) -> None:
    env = TransformedEnv(CountingEnv(100, batch), StepCounter(max_steps=3))
    data = env.rollout(10)
    assert data.batch_size[-1] == 3
    last = data["next"][..., -1]
    assert last["truncated"].all()
    assert last["done"].all()
    assert not last["terminated"].any()
    again = env.rollout(7, break_when_any_done=False)
    assert again["step_count"].reshape(-1, 7)[0].tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_it_adds_the_flag_where_there_is_none() -> None:
    env = TransformedEnv(StatelessEnv(99.0), StepCounter(max_steps=2))
    assert env.done_keys == ["done", "terminated", "truncated"]
    assert env.full_done_spec["truncated"] == Categorical(2, shape=[1], dtype=torch.bool)
    assert env.rollout(9)["next", "truncated"].squeeze(-1).tolist() == [False, True]
    assert "truncated" not in TransformedEnv(StatelessEnv(), StepCounter()).done_keys


def test_an_end_of_the_env_stays_an_end() -> None:
    data = TransformedEnv(CountingEnv(2), StepCounter(max_steps=5)).rollout(9)
    assert data["next", "terminated"].squeeze(-1).tolist() == [False, True]
    assert not data["next", "truncated"].any()


def test_done_may_be_left_alone() -> None:
    env = TransformedEnv(CountingEnv(9), StepCounter(max_steps=2, update_done=False))
    data = env.rollout(3)
    assert data["next", "truncated"].squeeze(-1).tolist() == [False, True], "the episode is over all the same"
    assert not data["next", "done"].any()
    assert env.any_done(data["next"][-1])
    for kind in (SerialEnv, ParallelEnv):
        with kind(2, lambda: TransformedEnv(CountingEnv(9), StepCounter(max_steps=2, update_done=False))) as batch:
            counts = batch.rollout(5, break_when_any_done=False)["step_count"].squeeze(-1)
            assert counts.tolist() == [[0, 1, 0, 1, 0]] * 2
            check_env_specs(batch)


def test_a_flag_of_another_name_ends_the_episode_too() -> None:
    env = TransformedEnv(CountingEnv(9), StepCounter(max_steps=2, truncated_key="late", update_done=False))
    assert len(env.rollout(5)) == 2
    assert env.rollout(4, break_when_any_done=False)["step_count"].flatten().tolist() == [0, 1, 0, 1]


def test_by_steps_it_goes_on_from_what_it_is_given() -> None:
    env = TransformedEnv(CountingEnv(99), StepCounter())
    td = env.rand_action(env.reset())
    td["step_count"] = torch.tensor([41])
    assert env.step(td)["next", "step_count"] == 42


def test_its_spec() -> None:
    env = TransformedEnv(CountingEnv(batch_size=[2]), StepCounter(max_steps=7, step_count_key="age"))
    spec = Bounded(0, torch.iinfo(torch.int64).max, shape=[2, 1], dtype=torch.int64)
    assert env.observation_spec["age"] == spec
    assert env.state_spec == Composite(age=spec, shape=[2])
    assert TransformedEnv(CountingEnv(), StepCounter()).observation_spec["step_count"].is_in(torch.tensor([10**12]))


def test_another_flag_may_say_so() -> None:
    env = TransformedEnv(CountingEnv(9), StepCounter(max_steps=2, truncated_key="late"))
    following = env.rollout(5)["next"]
    assert following["late"].squeeze(-1).tolist() == [False, True]
    assert following["done"].squeeze(-1).tolist() == [False, True]
    assert not following["truncated"].any()


def test_a_limit_must_let_one_step_pass() -> None:
    with pytest.raises(ConfigError, match=r"max_steps: expected at least 1, found 0\. null counts without an end"):
        StepCounter(0)


def test_repr() -> None:
    assert repr(StepCounter(5)) == "StepCounter(max_steps=5, key='step_count')"


class DoneInAGroup(CountingEnv):
    """Its only flags stand under ``"agent"``."""

    def __init__(self) -> None:
        super().__init__(9)
        flag = Categorical(2, shape=(1,), dtype=torch.bool)
        self.full_done_spec = Composite(agent=Composite(done=flag, terminated=flag))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        made = super()._step(tensordict)
        return made.exclude("truncated", "terminated").set(("agent", "terminated"), made["terminated"])


def test_a_flag_that_would_end_nothing_is_refused() -> None:
    with pytest.raises(TransformError, match=r"no 'done' beside \('late', 'truncated'\).* has \[\('agent', 'done'\)\]"):
        TransformedEnv(DoneInAGroup(), StepCounter(3, ("late", "truncated")))
    for counter in (StepCounter(3), StepCounter(3, ("agent", "truncated"))):
        assert len(TransformedEnv(DoneInAGroup(), counter).rollout(9)) == 3


@pytest.mark.parametrize("batch", [[], [2]])
@pytest.mark.parametrize("max_steps", [None, 4])
def test_env_time_is_replay_time(batch: list[int], max_steps: int | None) -> None:
    limit = [3, 4] if batch else 4
    shown = TransformedEnv(CountingEnv(limit, batch), StepCounter(max_steps)).rollout(9, break_when_any_done=False)
    bare = CountingEnv(limit, batch).rollout(9, break_when_any_done=False)
    replayed = StepCounter(max_steps)(bare)
    for key in ("step_count", ("next", "step_count"), ("next", "truncated"), ("next", "done")):
        assert torch.equal(replayed[key], shown[key]), key
    assert replayed["next", "step_count"].dtype == torch.int64


def test_a_limit_is_said_of_a_rollout_that_was_made_without() -> None:
    bare = CountingEnv(9).rollout(3).exclude("truncated", ("next", "truncated"))
    replayed = StepCounter(3)(bare)
    assert replayed["next", "truncated"].flatten().tolist() == [False, False, True]
    assert replayed["next", "done"].flatten().tolist() == [False, False, True]
    assert not replayed["truncated"].any()
    quiet = StepCounter(3, update_done=False)(CountingEnv(9).rollout(3))
    assert not quiet["next", "done"].any()


def test_a_piece_of_a_rollout_counts_on() -> None:
    env = TransformedEnv(CountingEnv(4), StepCounter())
    whole = env.rollout(9, break_when_any_done=False)
    piece = whole[2:].clone()
    piece["step_count"][1:] = piece["next", "step_count"][:] = 99
    assert torch.equal(StepCounter()(piece)["step_count"], whole["step_count"][2:])
    assert torch.equal(piece["next", "step_count"], whole["next", "step_count"][2:])


def test_a_rollout_that_it_would_have_ended_earlier_is_refused() -> None:
    with pytest.raises(TransformError, match="an episode of this rollout has 5 steps, where max_steps=3 would have"):
        StepCounter(3)(CountingEnv(9).rollout(5))
    with pytest.raises(TransformError, match=r"StepCounter needs a rollout \[\*batch, time\]"):
        StepCounter()(CountingEnv().reset())


def test_envs_of_a_batch_may_have_different_limits() -> None:
    env = SerialEnv(2, [lambda limit=limit: TransformedEnv(CountingEnv(99), StepCounter(limit)) for limit in (2, 3)])
    data = env.rollout(6, break_when_any_done=False)
    assert data["next", "step_count"].squeeze(-1).tolist() == [[1, 2, 1, 2, 1, 2], [1, 2, 3, 1, 2, 3]]
    assert data["next", "truncated"].sum(1).flatten().tolist() == [3, 2]

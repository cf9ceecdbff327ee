"""What every batch does, whoever runs its envs."""

from __future__ import annotations

import functools
import inspect
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensordict import TensorDict, TensorDictBase

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.batch.batched_env import OF_TORCHRL, BatchedEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, EnvError, SpecError
from envcli.seeding import seed_chain
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.action_mask import ActionMask
from envcli.transforms.compose import Compose
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.vec_norm import VecNorm

KINDS = [SerialEnv, functools.partial(ParallelEnv, num_workers=2)]
LIMITS = [2, 3, 5]


def counting(limit: int = 5, **options: Any) -> Env:
    return CountingEnv(limit, **options)


@pytest.fixture(params=KINDS, ids=["serial", "parallel"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module", params=KINDS, ids=["serial", "parallel"])
def batch(request: pytest.FixtureRequest) -> Iterator[BatchedEnv]:
    """Envs whose episodes are 2, 3 and 5 steps long; started, so that no test needs another one before it."""
    with request.param(3, counting, [{"limit": limit} for limit in LIMITS]) as env:
        env.start()
        yield env


def equal(one: TensorDictBase, other: TensorDictBase) -> bool:
    keys = set(one.keys(True, True))
    return keys == set(other.keys(True, True)) and all(torch.equal(one[key], other[key]) for key in keys)


# -- how it is built ----------------------------------------------------------------------------------------------


def test_nothing_is_built_before_it_is_needed(kind: Any) -> None:
    def never() -> Env:
        raise AssertionError("built")

    env = kind(2, never)
    assert env.is_closed
    assert "not started" in repr(env)
    env.close()


def test_the_forms_of_the_constructor(kind: Any) -> None:
    for env in (
        kind(2, [counting, counting], [{"limit": 1}, {"limit": 4}]),
        kind(2, counting, create_env_kwargs=[{"limit": 1}, {"limit": 4}]),
        kind(2, [functools.partial(counting, 1), functools.partial(counting, 4)]),
    ):
        with env:
            assert env.rollout(4, break_when_any_done=False)["next", "done"].sum(1).flatten().tolist() == [4, 1]


def test_arguments_can_be_given_later(kind: Any) -> None:
    env = kind(2, counting, {"limit": 1})
    env.update_kwargs([{}, {"limit": 3}])
    with env:
        assert env.rollout(3, break_when_any_done=False)["next", "done"].sum(1).flatten().tolist() == [3, 1]
        with pytest.raises(EnvError, match="are already built"):
            env.update_kwargs({"limit": 2})


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((0, counting), "num_envs: found 0"),
        ((True, counting), "num_envs: found True"),
        ((2, [counting]), "create_env_fn: found 1 for num_envs=2"),
        ((2, counting, [{}]), "create_env_kwargs: found 1 for num_envs=2"),
        ((2, [counting, 3]), r"create_env_fn\[1\]: found a int"),
        ((2, counting, [{}, 3]), r"create_env_kwargs\[1\]: found a int"),
    ],
)
def test_what_cannot_be_built_is_refused_at_once(kind: Any, args: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(*args)


def test_what_makes_no_env_is_named(kind: Any) -> None:
    with pytest.raises((ConfigError, EnvError), match="create_env_fn: made a NoneType, expected an env"):
        kind(2, lambda: None).start()
    with pytest.raises(ConfigError, match="create_env_fn: made a NoneType, expected an env"):
        _ = kind(2, lambda: None).batch_size


def test_an_unstarted_batch_can_be_pickled(kind: Any) -> None:
    env = pickle.loads(pickle.dumps(kind(2, CountingEnv)))
    with env:
        assert env.rollout(2).shape == (2, 2)


def test_specs_are_known_before_the_start(kind: Any) -> None:
    env = kind(3, counting)
    assert env.batch_size == (3,)
    assert env.action_spec.shape == (3, 1)
    assert env.observation_keys == ["observation", "start"]
    assert env.is_closed


def test_specs_that_differ_are_refused(kind: Any) -> None:
    env = kind(3, counting, [{}, {}, {"dtype": torch.float64}])
    with pytest.raises(
        SpecError, match=r"^env 2 does not fit the batch: observation 'observation' is float64 .* 0 .* float32"
    ):
        env.start()
    assert env.is_closed


def test_specs_made_equal_by_transforms_are_accepted(kind: Any) -> None:
    from envcli.transforms.double_to_float import DoubleToFloat

    def make(dtype: torch.dtype) -> Env:
        return TransformedEnv(CountingEnv(dtype=dtype), DoubleToFloat())

    with kind(2, make, [{"dtype": torch.float64}, {"dtype": torch.float32}]) as env:
        assert env.rollout(2)["observation"].dtype == torch.float32


# -- reset, step, rollout -----------------------------------------------------------------------------------------


def test_results_are_batch_and_time(batch: BatchedEnv) -> None:
    data = batch.rollout(2)
    assert data.shape == (3, 2)
    assert data.names == [None, "time"]
    assert data["observation"].tolist() == [[[0.0], [1.0]]] * 3
    assert data["observation"].is_contiguous()


def test_the_first_end_of_an_episode_ends_the_rollout(batch: BatchedEnv) -> None:
    assert batch.rollout(10).shape == (3, 2)


def test_each_env_begins_its_own_episodes(batch: BatchedEnv) -> None:
    counts = batch.rollout(8, break_when_any_done=False)["observation"].squeeze(-1).int().tolist()
    assert counts == [[t % limit for t in range(8)] for limit in LIMITS]


def test_envs_that_wait_repeat_their_end_and_are_not_stepped(batch: BatchedEnv) -> None:
    made = list(batch.steps_made)
    data = batch.rollout(10, break_when_all_done=True)
    assert data.shape == (3, 5)
    assert data["next", "observation"].squeeze(-1).int().tolist() == [[1, 2, 2, 2, 2], [1, 2, 3, 3, 3], [1, 2, 3, 4, 5]]
    assert data["next", "done"].squeeze(-1).tolist() == [[t >= limit - 1 for t in range(5)] for limit in LIMITS]
    assert [after - before for before, after in zip(made, batch.steps_made, strict=True)] == LIMITS
    assert batch.rollout(3, break_when_any_done=False).shape == (3, 3), "and go on when all go on"


def test_a_policy_gives_the_same_as_the_same_actions_known_beforehand(batch: BatchedEnv) -> None:
    batch.set_seed(3)
    torch.manual_seed(1)
    known = batch.rollout(20, break_when_any_done=False)
    actions = iter(known["action"].unbind(1))
    batch.set_seed(3)
    asked = batch.rollout(20, lambda td: td.set("action", next(actions)), break_when_any_done=False)
    assert equal(asked, known)


def test_a_hidden_state_of_a_policy_is_led_on(batch: BatchedEnv) -> None:
    def policy(td: TensorDictBase) -> TensorDictBase:
        hidden = td.get("hidden", torch.zeros(3, 1))
        return td.update({"action": torch.zeros(3, 1), "hidden": hidden, ("next", "hidden"): hidden + 1})

    data = batch.rollout(6, policy, break_when_any_done=False)
    assert data["hidden"].squeeze(-1).tolist() == [[0, 1, 2, 3, 4, 5]] * 3


def test_a_callback_sees_every_row(batch: BatchedEnv) -> None:
    seen: list[list[float]] = []
    batch.rollout(
        4, callback=lambda env, td: seen.append(td["observation"].flatten().tolist()), break_when_any_done=False
    )
    assert seen == [[1, 1, 1], [0, 2, 2], [1, 0, 3]]


def test_a_rollout_can_go_on_where_another_one_ended(batch: BatchedEnv) -> None:
    first = batch.rollout(4, break_when_any_done=False)
    second = batch.rollout(3, auto_reset=False, tensordict=batch.step_mdp(first[:, -1]), break_when_any_done=False)
    counts = torch.cat([first["observation"], second["observation"]], 1).squeeze(-1).int().tolist()
    assert counts == [[t % limit for t in range(7)] for limit in LIMITS]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(masks=st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=1, max_size=6))
def test_some_can_be_reset(batch: BatchedEnv, masks: list[list[bool]]) -> None:
    td = batch.reset()
    expected = [0, 0, 0]
    for mask in masks:
        td = batch.step_mdp(batch.step(td.set("action", torch.zeros(3, 1))))
        expected = [0 if reset else count + 1 for count, reset in zip(expected, mask, strict=True)]
        td = batch.reset(td.set("_reset", torch.tensor(mask).unsqueeze(-1)))
        assert td["observation"].flatten().tolist() == expected
        assert "_reset" not in td


def test_step_and_maybe_reset(batch: BatchedEnv) -> None:
    td, counts = batch.reset(), []
    for _ in range(6):
        counts.append(td["observation"].flatten().int().tolist())
        _, td = batch.step_and_maybe_reset(batch.rand_action(td))
    assert counts == [[t % limit for limit in LIMITS] for t in range(6)]


def of_gymnasium(limit: int = 5) -> Env:
    return TransformedEnv(GymWrapper(CountingGym(limit=limit)), Compose(StepCounter(), RewardSum()))


def test_a_step_that_ends_an_episode_begins_the_next(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kwargs = [{"limit": limit} for limit in LIMITS]
    with kind(3, of_gymnasium, kwargs) as ours, SerialEnv(3, of_gymnasium, kwargs) as other:
        td, theirs, resets = ours.reset(), other.reset(), []
        monkeypatch.setattr(ours, "_reset_row", lambda *args: resets.append(args))
        for t in range(12):
            if t == 7:  # what else is done in between makes no difference
                ours.step(ours.rand_action(td.copy()))
                monkeypatch.undo()
                td, theirs = ours.reset(), other.reset()
                monkeypatch.setattr(ours, "_reset_row", lambda *args: resets.append(args))
            td = ours.rand_action(td).set("hidden", torch.full((3, 1), t))
            theirs.update(td.select("action", "hidden"))
            td, after = ours.step_and_maybe_reset(td)
            theirs = other.step(theirs)
            assert equal(td, theirs)
            td, theirs = after, other.maybe_reset(other.step_mdp(theirs))
            assert equal(td, theirs)
        assert not resets, "it takes no word of its own"


def test_who_looks_at_what_a_reset_is_given_is_given_it(kind: Any) -> None:
    class Heeding(CountingEnv):
        def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
            fresh: TensorDictBase = super()._reset(tensordict)
            return fresh if tensordict is None else fresh.set("observation", tensordict["observation"] + 10)

    with kind(2, lambda: Heeding(2)) as env:
        td, seen = env.reset(), []
        for _ in range(3):
            _, td = env.step_and_maybe_reset(env.rand_action(td))
            seen.append(td["observation"].flatten().tolist())
    assert seen == [[1, 1], [12, 12], [1, 1]]


def test_a_method_of_ones_own_is_called_by_step_and_maybe_reset() -> None:
    class Own(SerialEnv):
        asked = 0

        def maybe_reset(self, tensordict: TensorDictBase) -> TensorDictBase:
            self.asked += 1
            return super().maybe_reset(tensordict)

    with Own(2, of_gymnasium) as env:
        env.step_and_maybe_reset(env.rand_action(env.reset()))
        assert env.asked == 1


def test_after_an_episode_the_mask_is_that_of_the_new_one(kind: Any) -> None:
    def masked() -> Env:
        return TransformedEnv(GymWrapper(MaskedGym(limit=3)), ActionMask())

    with kind(2, masked) as env:
        td, chosen = env.reset(), []
        for _ in range(6):
            chosen.append(env.rand_action()["action"].argmax(-1).tolist())  # where the env stands by itself
            _, td = env.step_and_maybe_reset(env.rand_action(td))
    assert chosen == [[t % 3] * 2 for t in range(6)]


@pytest.mark.parametrize("categorical", [False, True])
def test_random_actions_of_a_rollout_obey_the_masks(kind: Any, categorical: bool) -> None:
    def masked() -> Env:
        env = GymWrapper(MaskedGym(limit=3), categorical_action_encoding=categorical)
        return TransformedEnv(env, ActionMask())

    with kind(2, masked) as env:
        for stop in (False, True):
            data = env.rollout(7, break_when_any_done=stop)
            chosen = data["action"] if categorical else data["action"].argmax(-1)
            assert chosen.tolist() == [[t % 3 for t in range(3 if stop else 7)]] * 2


class MaskedGym(gymnasium.Env[Any, Any]):
    """Each step has one allowed action, which is its number in the episode."""

    def __init__(self, limit: int) -> None:
        self.limit, self.count = limit, 0
        self.action_space = gymnasium.spaces.Discrete(limit)
        self.observation_space = gymnasium.spaces.Dict(action_mask=gymnasium.spaces.MultiBinary(limit))

    def _shown(self) -> dict[str, Any]:
        return {"action_mask": np.eye(self.limit, dtype=np.int8)[self.count % self.limit]}

    def reset(self, **options: Any) -> Any:
        self.count = 0
        return self._shown(), {}

    def step(self, action: Any) -> Any:
        assert action == self.count
        self.count += 1
        return self._shown(), 1.0, self.count == self.limit, False, {}


def test_a_step_can_be_sent_and_received(batch: BatchedEnv) -> None:
    td = batch.rand_action(batch.reset())
    batch.async_step_send(td)
    for use in (batch.reset, lambda: batch.step(td), lambda: batch.rollout(2), lambda: batch.async_step_send(td)):
        with pytest.raises(EnvError, match="a step is in progress"):
            use()
    assert batch.async_step_recv() is td
    assert td["next", "observation"].flatten().tolist() == [1, 1, 1]
    assert torch.equal(td["next", "reward"], td["action"])
    with pytest.raises(EnvError, match="no step is in progress"):
        batch.async_step_recv()


OTHERWISE: list[Callable[[Any], Any]] = [
    lambda env: list(env.steps_made),
    lambda env: env.eval().train(),
    lambda env: env.to("cpu"),
    lambda env: env.specs,
    lambda env: env.append_transform(RewardScaling(0.0, 1.0)),
    lambda env: setattr(env, "reward_spec", env.reward_spec),
]


@pytest.mark.parametrize("use", OTHERWISE)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_asked_while_a_step_is_under_way_leaves_it_whole(
    batch: BatchedEnv, use: Callable[[Any], Any], wrapped: bool
) -> None:
    env: Env = TransformedEnv(batch, RewardScaling(0.0, 10.0)) if wrapped else batch
    td = env.rand_action(env.reset())
    env.async_step_send(td)
    use(env)
    assert env.async_step_recv() is td
    assert td["next", "observation"].flatten().tolist() == [1, 1, 1]
    assert torch.equal(td["next", "reward"], td["action"] * (10 if wrapped else 1))
    assert env.step(env.rand_action(env.step_mdp(td)))["next", "observation"].flatten().tolist() == [2, 2, 2]


def test_actions_are_checked_before_they_reach_an_env(batch: BatchedEnv) -> None:
    td, made = batch.reset(), list(batch.steps_made)
    bad = torch.zeros(3, 1)
    bad[1] = 2
    for wrong in (bad, bad * torch.nan, torch.zeros(3, 2), torch.zeros(3, 1, dtype=torch.complex64)):
        with pytest.raises(ActionError):
            batch.step(td.clone().set("action", wrong))
    assert list(batch.steps_made) == made


def test_what_a_reset_is_given_reaches_the_envs(kind: Any) -> None:
    with kind(2, StatelessEnv) as env:
        state = env.reset()
        key = env.state_keys[0]
        state[key][1] += 3
        following = env.step(env.rand_action(state))["next"]
        alone = StatelessEnv()
        one = alone.step(alone.reset().update(state[1]))["next"]
        assert torch.equal(following[1][key], one[key])


def test_options_of_a_reset_reach_the_simulators(kind: Any) -> None:
    with kind(2, lambda: GymEnv("CartPole-v1")) as env:
        low = env.reset(options={"low": -1e-6, "high": 1e-6})
        assert low["observation"].abs().max() <= 1e-6
        assert env.reset()["observation"].abs().max() > 1e-6
        widths = [0.01, 1e-6]
        first, second = env.reset(list_of_kwargs=[{"options": {"low": -width, "high": width}} for width in widths])
        assert second["observation"].abs().max() <= 1e-6 < first["observation"].abs().max()
        only = {"_reset": torch.tensor([[False], [True]])}
        again = env.reset(
            TensorDict(only, [2]), list_of_kwargs=[{"options": 7}, {"options": {"low": 0.2, "high": 0.3}}]
        )
        assert torch.equal(again["observation"][0], first["observation"])
        assert again["observation"][1].min() >= 0.2
        with pytest.raises(ConfigError, match="list_of_kwargs: found 1 for 2 envs"):
            env.reset(list_of_kwargs=[{}])
        env.rollout(3)  # it is as it was


# -- seeds --------------------------------------------------------------------------------------------------------


def test_seeds_follow_the_chain(batch: BatchedEnv) -> None:
    assert batch.set_seed(10) == 3288080526
    starts = batch.reset()["start"]
    for i, seed in enumerate(seed_chain(10, 3)[:-1]):
        alone = CountingEnv()
        alone.set_seed(seed)
        assert torch.equal(alone.reset()["start"], starts[i])


def test_seeds_can_be_listed_or_be_all_the_same(batch: BatchedEnv) -> None:
    assert batch.set_seed([1, 2, 1]) is None
    starts = batch.reset()["start"].flatten().tolist()
    assert starts[0] == starts[2] != starts[1]
    assert batch.set_seed(7, static_seed=True) == 7
    assert len(set(batch.reset()["start"].flatten().tolist())) == 1
    with pytest.raises(ConfigError, match="found 2 seeds for 3 envs"):
        batch.set_seed([1, 2])


def test_a_batch_of_batches_takes_as_many_seeds_as_it_has_envs(kind: Any) -> None:
    with kind(2, lambda: SerialEnv(3, CountingEnv)) as env, SerialEnv(6, CountingEnv) as flat:
        assert env.set_seed(5) == flat.set_seed(5)
        assert torch.equal(env.reset()["start"].flatten(), flat.reset()["start"].flatten())
        assert env.rollout(7, break_when_any_done=False).shape == (2, 3, 7)


# -- all envs at once ---------------------------------------------------------------------------------------------


def named(name: str) -> Env:
    env = CountingEnv()
    env.foo = name
    env.get_something = lambda r, by=1: r + by
    return env


def test_attributes_and_methods_are_those_of_all(kind: Any) -> None:
    env = kind(3, named, [{"name": name} for name in "abc"])
    with pytest.raises(RuntimeError, match=r"foo: the envs are not built yet"):
        _ = env.foo
    assert not hasattr(env, "foo")
    assert env.is_closed, "asking starts nothing"
    with env:
        env.start()
        foo = env.foo
        assert list(foo) == ["a", "b", "c"]
        assert foo[1] == "b"
        assert len(foo) == 3
        assert foo == ["a", "b", "c"]
        assert foo != ["a", "b"]
        assert env.get_something(0) == [1, 1, 1]
        assert env.get_something(1, by=2) == [3, 3, 3]


def test_what_the_envs_do_not_have_is_named(kind: Any) -> None:
    with kind(2, CountingEnv) as env:
        env.start()
        for look in (list, lambda found: found[0]):
            with pytest.raises(AttributeError, match="'CountingEnv' object has no attribute 'nonsense'"):
                look(env.nonsense)


def test_a_serial_env_knows_at_once_what_its_envs_do_not_have() -> None:
    with SerialEnv(2, named, [{"name": name} for name in "ab"]) as env:
        env.start()
        assert hasattr(env, "foo")
        assert not hasattr(env, "nonsense")
        assert getattr(env, "nonsense", 3) == 3


def test_what_the_envs_refuse_leaves_the_batch_as_it_was(kind: Any) -> None:
    class Refuses(CountingEnv):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

        def refuse(self, what: object) -> None:
            raise ValueError(f"not {what}")

    with kind(3, Refuses) as env:
        env.set_seed(3)
        td = env.reset()
        processes = workers_of(env)
        with pytest.raises((EnvError, ValueError), match="not this") as caught:
            env.refuse("this")
        if isinstance(env, ParallelEnv):
            assert isinstance(caught.value, EnvError)
            assert re.search(r"env 0 \(worker 0, seed 3\) in call: ValueError: not this", str(caught.value))
            assert "in refuse" in "".join(caught.value.__notes__)
            with pytest.raises(EnvError, match=r"env 0 .* in get: TypeError: cannot pickle"):
                list(env.lock)
            with pytest.raises(EnvError, match="must be picklable"):
                env.refuse(threading.Lock())
        with pytest.raises((EnvError, TypeError), match="refuse"):
            env.refuse()
        with pytest.raises(AttributeError, match="nonsense"):
            list(env.nonsense)
        assert list(env.steps_made) == [0, 0, 0]
        assert env.step(env.rand_action(td))["next", "observation"].flatten().tolist() == [1, 1, 1]
        assert workers_of(env) == processes
    assert env.is_closed


def test_attributes_of_attributes_stay_with_the_envs(kind: Any) -> None:
    class Counter:
        def __init__(self, start: int) -> None:
            self.start, self.lock = start, threading.Lock()  # a lock cannot be sent

        def plus(self, more: int) -> int:
            return self.start + more

    class Counts(CountingEnv):
        def __init__(self, start: int) -> None:
            super().__init__()
            self.counter = Counter(start)

    with kind(2, Counts, [{"start": 3}, {"start": 4}]) as env:
        env.start()
        assert list(env.counter.start) == [3, 4]
        assert env.counter.start[1] == 4
        assert env.counter.plus(2) == [5, 6]
        assert list(env.counter.lock.locked()) == [False, False]
        with pytest.raises(AttributeError, match="nonsense"):
            list(env.counter.nonsense)
        with pytest.raises(AttributeError, match="_start"):
            _ = env.counter._start


def workers_of(env: BatchedEnv) -> list[int]:
    pool = env._pool if isinstance(env, ParallelEnv) else None
    return [worker.process.pid for worker in pool._workers if worker.process is not None] if pool else []


def test_state_is_that_of_all(kind: Any) -> None:
    def make() -> Env:
        return TransformedEnv(CountingEnv(), VecNorm(["observation"], decay=1.0))

    with kind(2, make) as env:
        env.rollout(3)
        state = env.state_dict()
        assert list(state) == ["worker0", "worker1"]
        assert state["worker1"]["_extra_state"]["td"]["observation_count"].item() == 4
    with kind(2, make) as other:
        other.load_state_dict(state)
        other.rollout(3)
        assert other.state_dict()["worker0"]["_extra_state"]["td"]["observation_count"].item() == 8


def test_a_state_of_other_envs_is_taken_where_it_fits(kind: Any) -> None:
    def make() -> Env:
        return TransformedEnv(CountingEnv(), VecNorm(["observation"], decay=1.0))

    with kind(2, make) as env:
        env.rollout(3)
        state = env.state_dict()
    with kind(3, make) as other:
        other.rollout(1)
        other.load_state_dict({"worker0": {**state["worker0"], "unknown": torch.zeros(1)}, "worker7": {}}, strict=False)
        found = other.state_dict()
    assert [found[f"worker{i}"]["_extra_state"]["td"]["observation_count"].item() for i in range(3)] == [4, 2, 2]


def test_a_state_of_too_few_envs_is_refused(kind: Any) -> None:
    with kind(2, CountingEnv) as env:
        env.start()
        state = env.state_dict()
        for wrong, found in (({}, "none"), ({"worker0": state["worker0"]}, "1")):
            said = (
                rf"^load_state_dict: expected the states of 2 envs, 'worker0' to 'worker1', found {found}: there is no"
            )
            with pytest.raises(SpecError, match=said):
                env.load_state_dict(wrong)
        env.load_state_dict({**state, "worker2": state["worker0"]})
        assert env.rollout(2).shape == (2, 2)


def test_what_is_too_large_is_told_by_its_shape(kind: Any) -> None:
    with kind(3, CountingEnv) as env:
        env.start()
        with pytest.raises(EnvError, match=r"^rows \[3, 10000000000000, 1\] of [\w.]+ .*need [\d,]+ bytes"):
            env.rollout(10**13)


# -- transforms on either side ------------------------------------------------------------------------------------


def test_transforms_inside_and_outside_do_the_same(kind: Any) -> None:
    def chain() -> Compose:
        return Compose(StepCounter(max_steps=3), RewardSum())

    inside = kind(3, lambda: TransformedEnv(CountingEnv(), chain()))
    outside = TransformedEnv(kind(3, CountingEnv), chain())
    data = []
    for env in (inside, outside):
        with env:
            env.set_seed(1)
            torch.manual_seed(0)
            data.append(env.rollout(10, break_when_any_done=False))
    assert equal(*data)
    assert data[0]["next", "step_count"].max() == 3


def test_an_outer_env_follows_its_batch_from_start_to_start(kind: Any) -> None:
    env = TransformedEnv(kind(2, CountingEnv), StepCounter())
    for _ in range(2):
        assert env.is_closed
        assert env.set_seed(10) == seed_chain(10, 2)[-1]
        assert env.rollout(3)["step_count"].shape == (2, 3, 1)
        env.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_batch_on_a_gpu(kind: Any) -> None:
    with kind(2, CountingEnv, device="cuda") as env:
        assert env.rollout(3)["observation"].device.type == "cuda"


def test_training_and_evaluation_reach_the_envs(kind: Any) -> None:
    with kind(3, counting) as env:
        assert env.eval() is env
        assert env.is_closed, "nothing is built for that"
        env.start()
        assert env._get("training") == [False] * 3
        assert env.train() is env
        assert env._get("training") == [True] * 3
        assert list(env.parameters()) == []


TORCHRLS: dict[str, Any] = {
    "pin_memory": True,
    "share_individual_td": True,
    "shared_memory": False,
    "memmap": True,
    "policy_proof": len,
    "allow_step_when_done": True,
    "num_threads": 2,
    "num_sub_threads": 2,
    "serial_for_single": True,
    "non_blocking": True,
    "use_buffers": False,
    "metadata_from_workers": True,
    "consolidate": False,
    "daemon": True,
    "shutdown_timeout": 1.0,
}


@pytest.mark.parametrize("make", [SerialEnv, ParallelEnv])
def test_torchrls_arguments_are_taken_and_a_typo_is_none(make: Any) -> None:
    with make(num_workers=2, create_env_fn=counting, **TORCHRLS) as env:
        assert env.num_envs == 2
        assert env.num_workers <= 2, "it is known before the start"
        assert env.is_closed
        assert env.rollout(2).shape == (2, 2)
    with pytest.raises(TypeError, match="use_bufers"):
        make(2, counting, use_bufers=True)


def test_the_workers_of_a_serial_env_are_its_envs() -> None:
    env = SerialEnv(num_workers=3, create_env_fn=counting)
    assert env.num_workers == env.num_envs == SerialEnv(3, counting, num_workers=3).num_workers == 3
    with pytest.raises(ConfigError, match=r"num_workers: found 2 for num_envs=3, but a SerialEnv has no processes"):
        SerialEnv(3, counting, num_workers=2)
    with pytest.raises(ConfigError, match="num_envs: found None"):
        SerialEnv(create_env_fn=counting)


def test_how_workers_start_has_two_names() -> None:
    assert ParallelEnv(2, counting).start_method == "forkserver"
    assert ParallelEnv(2, counting, mp_start_method="fork").start_method == "fork"
    assert ParallelEnv(2, counting, start_method="spawn", mp_start_method="spawn").start_method == "spawn"
    with pytest.raises(ConfigError, match="start_method: found 'spawn', and mp_start_method='fork'"):
        ParallelEnv(2, counting, start_method="spawn", mp_start_method="fork")
    with pytest.raises(ConfigError, match="start_method: found 'frok', expected one of forkserver, spawn, fork"):
        ParallelEnv(2, counting, mp_start_method="frok")
    with pytest.raises(TypeError, match="mp_start_method"):
        SerialEnv(2, counting, mp_start_method="fork")  # type: ignore[call-arg]  # TorchRL refuses it too


@pytest.mark.parametrize("batch", [ParallelEnv, SerialEnv])
def test_what_has_no_effect_is_taken_and_said(batch: type[BatchedEnv]) -> None:
    assert set(inspect.signature(batch).parameters) >= OF_TORCHRL
    _, _, said = (batch.__doc__ or "").partition("pin_memory")
    named = "pin_memory" + said.partition(": TorchRL's")[0]
    assert set(re.findall(r"\w+", named)) == OF_TORCHRL

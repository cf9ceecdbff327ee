"""Env: what it does as a whole, and what a subclass may write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import ConfigError, ContractError, EnvError, SpecError
from envcli.specs import Bounded, Categorical, Composite, Unbounded
from envcli.testing.contract import check_env_specs
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import BrokenEnv, CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.step_counter import StepCounter
from tests.envs.conftest import native


def test_fake_tensordict_looks_like_a_step() -> None:
    for env in (native(), CountingEnv(batch_size=[2]), NestedEnv(), StatelessEnv()):
        fake, real = env.fake_tensordict(), env.rand_step(env.reset())
        assert set(fake.keys(True, True)) == set(real.keys(True, True))
        for key in fake.keys(True, True):
            assert (fake[key].shape, fake[key].dtype) == (real[key].shape, real[key].dtype)
        assert fake.batch_size == env.batch_size


def test_a_transform_appended_makes_another_env(env: Any) -> None:
    outer = env.append_transform(StepCounter())
    assert isinstance(outer, TransformedEnv)
    assert outer.base_env is env
    assert outer.append_transform(StepCounter(step_count_key="again")) is outer
    assert outer.rollout(2)["again"].flatten().tolist() == [0, 1]


def test_a_simulator_that_raises_is_told_with_the_steps_before() -> None:
    class Failing(CountingEnv):
        def _step(self, tensordict: Any) -> Any:
            if self.steps_made == 3:
                raise ZeroDivisionError("boom")
            return super()._step(tensordict)

    with pytest.raises(ZeroDivisionError) as caught:
        Failing().rollout(5)
    assert caught.value.__notes__ == ["after 3 steps of the rollout"]


# -- its place --------------------------------------------------------------------------------------------------------


def test_a_device_that_is_not_there_leaves_the_env_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for env in (native(), SerialEnv(2, native), TransformedEnv(native(), StepCounter())):
        with pytest.raises(ConfigError, match="torch finds no CUDA here"):
            env.to("cuda")
        assert env.device is None
        assert env.rollout(2)["observation"].device.type == "cpu"
        env.close()
    with pytest.raises(ConfigError, match="torch finds no CUDA here"):
        TransformedEnv(native(), StepCounter(), device="cuda")


# -- where it is ------------------------------------------------------------------------------------------------------


def test_no_device_means_none_and_a_device_is_said(env: Any) -> None:
    assert env.device is None
    assert env.reset().device is None
    assert env.to("cpu") is env
    assert env.device == torch.device("cpu")
    assert env.rand_step(env.reset())["next"].device == torch.device("cpu")
    assert env.rollout(2).device == torch.device("cpu")
    assert env.observation_spec.device == torch.device("cpu")


def test_repr(env: Any) -> None:
    assert repr(env).startswith(type(env).__name__)
    assert "batch_size=torch.Size([])" in repr(env)


def test_what_is_no_tensordict_and_no_number_is_named() -> None:
    env = GymWrapper(CountingGym())
    with pytest.raises(TypeError, match=r"^step: expected a TensorDict, found a dict\. Start with env\.reset\(\)$"):
        env.step({"action": 1})  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(TypeError, match=r"^reset: expected a TensorDict, found a dict"):
        env.reset({"action": 1})  # type: ignore[arg-type]
    for steps in ("5", 1.5):
        with pytest.raises(TypeError, match=rf"^rollout: max_steps must be a whole number, found {steps!r}$"):
            env.rollout(steps)  # type: ignore[arg-type]
    assert env.rollout(np.int64(2)).shape == (2,)


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"^device: found 'cuda', but torch finds no CUDA here"):
        GymEnv("CartPole-v1", device="cuda")
    with pytest.raises(ConfigError, match=r"^device: found 'cud', expected 'cpu'"):
        GymEnv("CartPole-v1", device="cud")


# -- what a subclass may write ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_step", "_reset", "_output_transform", "read_reward"])
def test_a_hook_that_nobody_would_call_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Mine.{name} would never be called: only subclasses of EnvBase"):
        type("Mine", (GymEnv,), {name: lambda self, tensordict: tensordict})
    mixin = type("Mixin", (), {name: lambda self, tensordict: tensordict})
    with pytest.raises(TypeError, match=rf"Mine.{name} would never be called"):
        type("Mine", (mixin, GymEnv), {})


@pytest.mark.parametrize("base", [GymEnv, CountingEnv])
def test_a_rollout_does_not_go_around_another_step_or_reset(base: type[Env]) -> None:
    class Mine(base):  # type: ignore[misc, valid-type]  # which of the two, the test says
        resets = 0

        def step(self, tensordict: TensorDictBase) -> TensorDictBase:
            return super().step(tensordict).set("mine", torch.ones(1))

        def reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
            self.resets += 1
            return super().reset(tensordict, **options)

    make = (lambda kind: kind("CartPole-v1")) if base is GymEnv else (lambda kind: kind(limit=5))
    mine, plain = make(Mine), make(base)
    mine.set_seed(0)
    plain.set_seed(0)
    usual = plain.rollout(40, break_when_any_done=False)
    actions = iter(usual["action"])
    data = mine.rollout(40, lambda td: td.set("action", next(actions)), break_when_any_done=False)
    assert data["mine"].sum() == 40
    assert mine.resets == 1 + usual["next", "done"][:-1].sum()
    assert (data.exclude("mine") == usual).all()
    assert data.names == usual.names
    mine.set_seed(0)
    actions, told, out = iter(usual["action"]), [], mine._buffer(30)
    kept = mine.rollout(
        40,
        lambda td: td.set("action", next(actions)),
        break_when_any_done=False,
        set_truncated=True,
        out=out,
        progress=told.append,
    )
    assert (out.filled, told) == (30, [30])
    assert kept["next", "truncated"][-1]
    assert (kept[:-1].exclude("mine") == usual[:29]).all()
    assert kept["mine"].sum() == 30
    assert mine.rollout(3, set_truncated=True)["next", "done"].flatten().tolist() == [False, False, True]
    ended = mine.rollout(500, break_when_all_done=True)["next", "done"]
    assert (ended.sum(), ended[-1]) == (1, True)


@pytest.mark.parametrize("chain", [False, True])
def test_random_actions_are_those_of_another_rand_action(chain: bool) -> None:
    class Still(GymEnv):
        def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
            return super().rand_action(tensordict).set("action", torch.zeros(1))

    env: Env = Still("Pendulum-v1")
    env = TransformedEnv(env, StepCounter()) if chain else env
    assert not env.rollout(5)["action"].any()
    assert not env.rand_step(env.reset())["action"].any()


# -- words of TorchRL's -----------------------------------------------------------------------------------------------


def test_an_env_has_the_words_of_a_module(env: Any) -> None:
    assert env.training
    assert env.eval() is env
    assert not env.training
    assert env.train() is env
    assert env.training
    assert list(env.parameters()) == []
    env.rollout(2)


def test_a_function_is_applied_to_the_modules_of_an_env(env: Any) -> None:
    seen: list[Any] = []
    assert env.apply(seen.append) is env
    assert seen[-1] is env
    assert {id(module) for module in seen} == {id(module) for module in env.modules()}
    chain = TransformedEnv(env, Compose(StepCounter()))
    found = list(chain.modules())
    assert found[:2] == [chain, chain.base_env]
    assert chain.transform[-1] in found
    seen.clear()
    chain.apply(seen.append)
    assert seen.index(chain.base_env) < seen.index(chain.transform[-1]) < seen.index(chain.transform) < len(seen) - 1


def test_an_env_checks_itself(env: Any) -> None:
    env.check_env_specs(seed=0, return_contiguous=True)
    assert env.rollout(2).shape[-1] == 2


def test_an_env_that_breaks_its_promises_says_so() -> None:
    with pytest.raises(ContractError, match="BrokenEnv breaks"):
        BrokenEnv("wrong_seed").check_env_specs()


def test_an_env_without_a_memory_has_nothing_to_load(env: Any) -> None:
    env.load_state_dict(env.state_dict())
    state = {**env.state_dict(), "transforms.0.loc": torch.zeros(1)}
    if not env.state_dict():
        with pytest.raises(EnvError, match=r"has nothing to load, found transforms\.0\.loc.* or pass strict=False"):
            env.load_state_dict(state)
    env.load_state_dict(state, strict=False)


def test_specs_changed_in_place_count_once_they_are_looked_at() -> None:
    env = CountingEnv()
    env.set_spec_lock_(False)
    env.observation_spec["more"] = Unbounded(1)
    env.empty_cache()
    with pytest.raises(SpecError, match="'more' is missing"):
        env.rollout(2)


def test_many_envs_from_the_class() -> None:
    with EnvBase.make_parallel(CountingEnv, num_envs=2, create_env_kwargs={"limit": 7}) as env:
        assert isinstance(env, ParallelEnv)
        assert env.rollout(20).shape == (2, 7)


@pytest.mark.parametrize("batch", [[], [2], [2, 3]])
def test_input_and_output_of_a_single_env_of_the_batch(batch: list[int]) -> None:
    env, single = CountingEnv(batch_size=batch), CountingEnv()
    assert env.input_spec_unbatched == single.input_spec
    assert env.output_spec_unbatched == single.output_spec


@pytest.mark.parametrize("batch", [[], [2], [2, 3]])
def test_specs_of_a_single_env_of_the_batch(batch: list[int]) -> None:
    env, single = CountingEnv(batch_size=batch), CountingEnv()
    for family in ("observation", "action", "reward", "done", "state"):
        for name in (f"{family}_spec", f"full_{family}_spec"):
            assert getattr(env, f"{name}_unbatched") == getattr(single, name)


@pytest.mark.parametrize("batch", [[], [2, 3]])
def test_a_spec_can_be_said_of_a_single_env_of_the_batch(batch: list[int]) -> None:
    env = CountingEnv(batch_size=batch)
    env.action_spec_unbatched = Bounded(-0.1, 0.1, [1])
    assert env.action_spec.shape == (*batch, 1)
    assert env.rollout(20)["action"].abs().max() <= 0.1
    for family in ("observation", "action", "reward", "done", "state"):
        wanted = Composite(mine=Unbounded([4]))
        setattr(env, f"full_{family}_spec_unbatched", wanted)
        assert getattr(env, f"full_{family}_spec")["mine"] == Unbounded([*batch, 4])


def test_an_env_may_be_written_with_the_specs_of_a_single_one() -> None:
    class Written(EnvBase):
        def __init__(self) -> None:
            super().__init__(batch_size=[2])
            self.observation_spec_unbatched = Composite(place=Unbounded([3]))
            self.action_spec_unbatched = Bounded(-1, 1, [1])
            self.reward_spec_unbatched = Unbounded([1])
            self.done_spec_unbatched = Categorical(2, shape=[1], dtype=torch.bool)
            self.state_spec_unbatched = Composite(mass=Unbounded([1]))

        def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
            return self.observation_spec.zero().update(self.state_spec.zero())

        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            return self.observation_spec.zero().update(self.full_reward_spec.zero())

        def _set_seed(self, seed: int | None) -> None:
            """It draws nothing."""

    data = Written().rollout(4)
    assert data["place"].shape == (2, 4, 3)
    assert data["mass"].shape == (2, 4, 1)
    check_env_specs(Written())


def test_specs_are_locked_once_there_are_rows(env: Any) -> None:
    assert env.is_spec_locked
    env.rollout(2)
    with pytest.raises(SpecError, match=r"'more' cannot be changed: the env is laid out by these specs\. Assign"):
        env.full_action_spec["more"] = Unbounded([*env.batch_size, 1])
    env.full_reward_spec = env.full_reward_spec.clone()
    env.rollout(2)
    assert env.full_reward_spec.is_locked
    assert not env.full_reward_spec.clone().is_locked


def test_cardinality() -> None:
    assert GymEnv("CartPole-v1").cardinality() == GymEnv("CartPole-v1").cardinality(None) == 2
    assert CountingEnv().cardinality() == float("inf")


def test_truncated_is_added_where_it_is_missing(env: Any) -> None:
    before = env.full_done_spec
    assert env.add_truncated_keys() is env
    assert env.full_done_spec is before, "it was there"


@pytest.mark.parametrize("wrap", [lambda env: env, TransformedEnv])
def test_truncated_keys_are_filled(wrap: Any) -> None:
    inner = StatelessEnv(1.0)
    assert "truncated" not in inner.done_keys
    env = wrap(inner)
    assert env.add_truncated_keys() is env
    assert env.done_keys == inner.done_keys == ["done", "terminated", "truncated"]
    data = env.rollout(3, break_when_any_done=False)
    assert data["next", "truncated"].shape == (3, 1)
    assert not data["next", "truncated"].any()


def test_truncated_keys_of_a_batch_are_those_of_its_envs() -> None:
    assert SerialEnv(2, CountingEnv).add_truncated_keys().done_keys == ["done", "terminated", "truncated"]
    with pytest.raises(EnvError, match=r"a batch has the flags of its envs\. Call it in create_env_fn"):
        SerialEnv(2, StatelessEnv).add_truncated_keys()

"""Gymnasium as a backend: the contract, and the library's own loop bit for bit."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from tensordict import TensorDictBase

from envcli.backends.gym import GymEnv, GymWrapper, from_gymnasium
from envcli.batch.serial_env import SerialEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, SpecError, UnknownName
from envcli.gym.info_reader import InfoReader, default_info_dict_reader
from envcli.make import make_env
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Bounded, Categorical, OneHot, Text, Unbounded
from envcli.testing import EnvContract, check_env_specs
from envcli.testing.gym_toys import CountingGym, ExoticGym, TalkingGym, every_space


class TestCartPole(EnvContract):
    def make_env(self) -> Env:
        return GymEnv("CartPole-v1")


class TestCartPoleOfNumbers(EnvContract):
    def make_env(self) -> Env:
        return GymEnv("CartPole-v1", categorical_action_encoding=True, device="cpu")


class TestPendulum(EnvContract):
    def make_env(self) -> Env:
        return GymEnv("Pendulum-v1", frame_skip=2)


class TestMountainCar(EnvContract):
    def make_env(self) -> Env:
        return GymEnv("MountainCarContinuous-v0")


class TestFrozenLake(EnvContract):
    def make_env(self) -> Env:
        return GymEnv("FrozenLake-v1")


class TestCountingGym(EnvContract):
    def make_env(self) -> Env:
        return GymWrapper(CountingGym(limit=3)).set_info_dict_reader(InfoReader(["steps"]))


class TestTalkingGym(EnvContract):
    def make_env(self) -> Env:
        return GymWrapper(TalkingGym(limit=3))


class TestEveryObservation(EnvContract):
    def make_env(self) -> Env:
        return GymWrapper(ExoticGym())


class TestEveryAction(EnvContract):
    def make_env(self) -> Env:
        space = spaces.Tuple((spaces.Discrete(2), every_space()))
        return GymWrapper(ExoticGym(space, every_space()), categorical_action_encoding=True)


# -- the library's own loop -------------------------------------------------------------------------------------------


def native_action(env: GymWrapper, action: torch.Tensor) -> Any:
    if isinstance(env._env.action_space, spaces.Discrete):
        return int(action.argmax()) + int(env._env.action_space.start)
    return action.numpy()


def native_loop(name: str, env: GymWrapper, data: TensorDictBase, seed: int, skip: int) -> list[dict[str, Any]]:
    """The bare loop with the actions of ``data``: what it showed, step by step."""
    bare = gymnasium.make(name)
    observation, _ = bare.reset(seed=seed)
    shown = []
    for action in data["action"]:
        row: dict[str, Any] = {"observation": observation}
        total = 0.0
        for _ in range(skip):
            observation, reward, terminated, truncated, _ = bare.step(native_action(env, action))
            total += float(reward)
            if terminated or truncated:
                break
        shown.append({**row, "next": observation, "reward": total, "terminated": terminated, "truncated": truncated})
        if terminated or truncated:
            observation, _ = bare.reset()
    bare.close()
    return shown


@pytest.mark.parametrize("skip", [None, 1, 3])
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "MountainCarContinuous-v0"])
def test_a_rollout_is_the_bare_loop_bit_for_bit(name: str, skip: int | None) -> None:
    torch.manual_seed(0)
    with GymEnv(name, frame_skip=skip) as env:
        env.set_seed(5)
        data = env.rollout(1000, break_when_any_done=False)
        for t, row in enumerate(native_loop(name, env, data, 5, skip or 1)):
            assert np.array_equal(data["observation"][t].numpy(), row["observation"])
            assert np.array_equal(data["next", "observation"][t].numpy(), row["next"])
            assert data["next", "reward"][t].item() == np.float32(row["reward"])
            assert data["next", "terminated"][t].item() == row["terminated"]
            assert data["next", "truncated"][t].item() == row["truncated"]
            assert data["next", "done"][t].item() == (row["terminated"] or row["truncated"])
        assert data["next", "done"].any(), "the test must see an end"


def test_frame_skip_sums_and_stops_at_the_end() -> None:
    toy = CountingGym(limit=5)
    data = GymWrapper(toy, frame_skip=3).rollout(9)
    assert data["next", "observation"].squeeze(-1).tolist() == [3, 5]
    assert data["next", "reward"].squeeze(-1).tolist() == [1 + 2 + 3, 4 + 5]
    assert data["next", "done"].squeeze(-1).tolist() == [False, True]
    assert len(toy.actions) == 5


@pytest.mark.parametrize("skip", [0, -1, 1.5, "2", True])
def test_frame_skip_must_count(skip: Any) -> None:
    with pytest.raises(ConfigError, match="frame_skip: expected a whole number of at least 1"):
        GymWrapper(CountingGym(), frame_skip=skip)


def test_a_time_limit_truncates_and_does_not_terminate() -> None:
    with GymEnv("Pendulum-v1") as env:
        last = env.rollout(500)[-1]["next"]
    assert last["truncated"].all()
    assert last["done"].all()
    assert not last["terminated"].any()
    data = GymWrapper(CountingGym(limit=3, time_limit=3)).rollout(9)[-1]["next"]
    assert data["truncated"].all()
    assert data["terminated"].all()


@pytest.mark.parametrize("checks", ["first", "full", "off"])
def test_the_clock_of_the_env_goes_on_though_it_is_kept_here(checks: str) -> None:
    native = gymnasium.make("MountainCarContinuous-v0", max_episode_steps=70)
    with GymWrapper(native, checks=checks) as env:
        ends = env.rollout(150, break_when_any_done=False)["next", "truncated"].squeeze(-1).nonzero().squeeze(-1)
        assert ends.tolist() == [69, 139]
        assert isinstance(native, TimeLimit)
        assert native._elapsed_steps == 10
        native.set_wrapper_attr("_max_episode_steps", 20)
        row = env.rollout(30, auto_reset=False, tensordict=env.reset())
        assert len(row) == 20


@pytest.mark.parametrize("checks", ["first", "full", "off"])
def test_no_step_is_made_beyond_the_time_limit(checks: str) -> None:
    native = TimeLimit(CountingGym(limit=1000), 10)
    with GymWrapper(native, checks=checks) as env:
        for steps in (200, 200):
            assert len(env.rollout(steps)) == 10
        ends = env.rollout(35, break_when_any_done=False)["next", "truncated"].squeeze(-1)
    assert ends.nonzero().squeeze(-1).tolist() == [9, 19, 29]


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_the_clock_counts_every_step_however_they_are_made(skip: int) -> None:
    native = gymnasium.make("MountainCarContinuous-v0", max_episode_steps=7)
    with GymWrapper(native, frame_skip=skip) as env:
        last = -(-7 // skip)
        for _ in range(2):  # the first step of all is made in another way than those that follow
            row = env.reset()
            ends = []
            for _ in range(last):
                row = env.rand_step(row)
                ends.append(row["next", "truncated"].item())
                row = env.step_mdp(row)
            assert ends == [False] * (last - 1) + [True]
        assert native.get_wrapper_attr("_elapsed_steps") == 7


@pytest.mark.parametrize("skip", [1, 3])
def test_the_clock_counts_in_a_batch_that_is_told_each_row(skip: int) -> None:
    def make() -> GymWrapper:
        return GymWrapper(gymnasium.make("MountainCarContinuous-v0", max_episode_steps=7), frame_skip=skip)

    last = -(-7 // skip)
    with SerialEnv(2, make) as batch:
        data = batch.rollout(4 * last, batch.rand_action, break_when_any_done=False)
    ends = data["next", "truncated"].squeeze(-1)
    assert ends.sum().item() == 8
    assert ends[:, last - 1 :: last].all()


def test_an_env_that_raises_has_made_the_steps_before() -> None:
    class Raising(gymnasium.Wrapper[Any, Any, Any, Any]):
        left = 5

        def step(self, action: Any) -> Any:
            self.left -= 1
            if not self.left:
                raise RuntimeError("enough")
            return self.env.step(action)

    native = TimeLimit(Raising(gymnasium.make("MountainCarContinuous-v0")), max_episode_steps=100)
    with GymWrapper(native) as env, pytest.raises(RuntimeError, match="enough"):
        env.rollout(20)
    assert native._elapsed_steps == 4


class Doubling(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A layer of somebody's own."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, 2 * float(reward), terminated, truncated, info


def test_layers_that_are_not_of_gymnasium_make_are_passed_through() -> None:
    for native in (
        Doubling(gymnasium.make("CartPole-v1")),
        TimeLimit(Doubling(gymnasium.make("CartPole-v1")), max_episode_steps=5),
    ):
        with GymWrapper(native) as env:
            assert (env.rollout(20, break_when_any_done=False)["next", "reward"] == 2).all()


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_a_seed_gives_the_first_observation_of_the_library(name: str) -> None:
    bare = gymnasium.make(name)
    with GymEnv(name, categorical_action_encoding=True) as env:
        for seed in (0, 7):
            env.set_seed(seed)
            assert np.array_equal(env.reset()["observation"].numpy(), bare.reset(seed=seed)[0])
            assert np.array_equal(env.reset()["observation"].numpy(), bare.reset()[0]), "and goes on as it does"
    bare.close()


def test_a_seed_is_used_once_and_reset_takes_options() -> None:
    toy = CountingGym()
    env = GymWrapper(toy)
    env.reset()
    env.set_seed(3)
    env.reset(options={"level": 2})
    env.reset()
    assert toy.resets == [(None, None), (3, {"level": 2}), (None, None)]


# -- what arrives and what is shown -----------------------------------------------------------------------------------


def test_specs_of_the_well_known() -> None:
    with GymEnv("CartPole-v1") as cart, GymEnv("Pendulum-v1") as pendulum:
        assert cart.action_spec == OneHot(2, dtype=torch.int64)
        assert pendulum.action_spec == Bounded(-2, 2, shape=[1], dtype=torch.float32)
        assert cart.reward_spec == Unbounded([1])
        assert cart.done_keys == ["done", "terminated", "truncated"]
        assert cart.state_spec.is_empty()
        assert cart.batch_size == ()
    with GymEnv("CartPole-v1", categorical_action_encoding=True) as numbers:
        assert numbers.action_spec == Categorical(2)


def test_every_action_arrives_as_the_space_says() -> None:
    toy = ExoticGym(spaces.Discrete(2), every_space())
    env = GymWrapper(toy)
    data = env.rollout(5)
    assert len(toy.actions) == 5
    for t, action in enumerate(toy.actions):
        assert toy.action_space.contains(action)
        assert np.array_equal(data["image"][t].numpy(), action["image"])
        assert data["choice"][t].argmax().item() - 1 == action["choice"]
        assert np.array_equal(data["pair", "0"][t].numpy(), action["pair"][0])


def test_every_observation_is_shown_as_it_was() -> None:
    toy = ExoticGym()
    data = GymWrapper(toy, categorical_action_encoding=True).rollout(4)
    for t, shown in enumerate(toy.shown[:4]):
        assert data["precise"][t].dtype == torch.float64
        assert np.array_equal(data["precise"][t].numpy(), shown["precise"])
        assert data["scalar"][t].tolist() == [shown["scalar"].item()]
        assert data["choice"][t].item() == shown["choice"] + 1
        assert data["choices"][t].tolist() == shown["choices"].tolist()
        assert data["board"][t].tolist() == shown["board"].tolist()
        assert data["pair", "1"][t].item() == shown["pair"][1]
        assert data["inner", "deep"][t].tolist() == shown["inner"]["deep"].tolist()


def test_a_tuple_stands_under_its_name() -> None:
    space = spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (2,))))
    env = GymWrapper(ExoticGym(space, space))
    assert env.observation_keys == [("observation", "0"), ("observation", "1")]
    assert env.action_keys == [("action", "0"), ("action", "1")]
    assert len(env.rollout(3)) == 3


def test_two_spaces_with_the_same_name_are_refused() -> None:
    with pytest.raises(SpecError, match="'x' is the name of the observation, and cannot be that of the action too"):
        GymWrapper(ExoticGym(spaces.Dict(x=spaces.Discrete(2)), spaces.Dict(x=spaces.Discrete(2))))
    with pytest.raises(SpecError, match="'action' is the name of the observation"):
        GymWrapper(ExoticGym(spaces.Dict(action=spaces.Discrete(2))))


@pytest.mark.parametrize("space", [spaces.Sequence(spaces.Discrete(2)), spaces.Graph(spaces.Discrete(2), None)])
def test_spaces_without_a_shape_are_refused(space: Any) -> None:
    with pytest.raises(ConfigError, match=rf"observation_space: {type(space).__name__}"):
        GymWrapper(ExoticGym(space))
    with pytest.raises(ConfigError, match=rf"action_space: {type(space).__name__}"):
        GymWrapper(ExoticGym(spaces.Discrete(2), space))


def test_a_simulator_that_breaks_its_space_is_told() -> None:
    class Liar(CountingGym):
        def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
            return np.zeros(2, np.float32), {}

    with pytest.raises(SpecError, match=r"Liar reset: observation: expected shape \(1,\).*found \(2,\)"):
        GymWrapper(Liar()).reset()


def test_info_is_read() -> None:
    env = GymWrapper(CountingGym(limit=3))
    assert env.set_info_dict_reader(default_info_dict_reader(["steps"], [Unbounded([], dtype=torch.int64)])) is env
    data = env.rollout(5, break_when_any_done=False)
    assert data["next", "steps"].tolist() == [1, 2, 3, 1, 2]
    assert data["steps"].tolist() == [0, 1, 2, 0, 1]
    assert env.observation_spec["steps"] == Unbounded([], dtype=torch.int64)
    assert env.rand_step(env.reset())["next", "steps"] == 1


@pytest.mark.parametrize("keys", [["steps"], None])
def test_info_is_read_in_its_own_shape_and_dtype(keys: list[str] | None) -> None:
    env = GymWrapper(CountingGym(limit=3)).set_info_dict_reader(default_info_dict_reader(keys))
    assert env.observation_spec["steps"] == Unbounded([], dtype=torch.int64)
    assert env.rollout(5, break_when_any_done=False)["next", "steps"].tolist() == [1, 2, 3, 1, 2]


def test_info_is_shown_by_its_names() -> None:
    env = from_gymnasium(CountingGym(limit=3), info_keys=["steps"])
    data = env.rollout(5, break_when_any_done=False)
    assert data["next", "steps"].tolist() == [1, 2, 3, 1, 2]
    assert env.observation_spec["steps"] == Unbounded([], dtype=torch.int64)


def test_a_mask_in_info_masks_actions() -> None:
    with make_env("backend.name=Taxi-v4", "backend.info_keys=[action_mask]", "transforms=[action_mask]") as env:
        data = env.rollout(50, break_when_any_done=False)
    assert data["action_mask"].float().mean() < 1
    assert ((data["action"] * data["action_mask"]).sum(-1) == 1).all()


def test_an_info_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"^backend.info_keys: 'mask': .*There are \['action_mask', 'prob'\]"):
        make_env("backend.name=Taxi-v4", "backend.info_keys=[mask]")


# -- by name, and around it -------------------------------------------------------------------------------------------


def test_available_envs() -> None:
    assert {"CartPole-v1", "Pendulum-v1"} <= set(GymEnv.available_envs)
    names = GymEnv.available_names()
    assert names == sorted(names)
    assert GymEnv.available_envs[:2] == names[:2]  # a list, as in TorchRL
    with GymEnv("CartPole-v1") as env:
        assert "CartPole-v1" in env.available_envs


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CartPol-v1", "no gymnasium env 'CartPol-v1'. Did you mean 'CartPole-v1'"),
        ("CartPole-v99", "Did you mean 'CartPole-v[01]' or 'CartPole-v[01]'"),
        ("cartpole", "Did you mean .*CartPole-v1"),
        ("no/such thing!", "`envcli list` shows all"),
    ],
)
def test_an_unknown_name(name: str, said: str) -> None:
    with pytest.raises(UnknownName, match=said):
        GymEnv(name)


def test_options_go_to_the_maker_and_wrong_ones_are_named() -> None:
    with GymEnv("Pendulum-v1", g=1.0) as env:
        assert env.g == 1.0
    with pytest.raises(
        ConfigError,
        match=r"Pendulum-v1 does not take these options: gravity \(\S+ got an unexpected keyword argument 'gravity'\)$",
    ):
        GymEnv("Pendulum-v1", gravity=1.0)
    with pytest.raises(ConfigError, match=r"does not take these options: gravity \("):  # and not those that we add
        GymEnv("Pendulum-v1", gravity=1.0, from_pixels=True)


def test_options_that_fail_in_the_first_step_are_named() -> None:
    with GymEnv("Pendulum-v1", g="abc") as env:
        with pytest.raises(ConfigError, match=r"Pendulum-v1 step: raised TypeError: .*\. It was made with g='abc'"):
            env.rollout(3)
        env._env.unwrapped.g = 1.0
        env.rollout(3)
        env._env.unwrapped.g = "abc"  # it has stepped since, so it is not for how it was made
        with pytest.raises(TypeError):
            env.rollout(3)


def test_only_gymnasium_envs_are_wrapped() -> None:
    with pytest.raises(
        ConfigError, match=r"expected a gymnasium.Env, found builtins.int. Build one with gymnasium\.make"
    ):
        GymWrapper(3)

    class Old:
        __module__ = "gym.core"

    with pytest.raises(
        ConfigError, match=r"expected a gymnasium.Env, found gym.core.Old. Of gym's it takes a single env"
    ):
        GymWrapper(Old())


def test_attributes_are_those_of_the_native_env() -> None:
    toy = CountingGym(limit=8)
    env = GymWrapper(toy)
    toy.note = "mine"  # type: ignore[attr-defined]  # anything a user hangs on it
    assert (env.note, env.limit, env._env) == ("mine", 8, toy)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = env.nothing_like_it
    with pytest.raises(AttributeError, match="_hidden"):
        _ = env._hidden


def test_close_closes_the_native_env_once() -> None:
    toy = CountingGym()
    env = GymWrapper(toy)
    env.close()
    env.close()
    assert toy.closed == 1


def test_repr_names_the_env() -> None:
    with GymEnv("CartPole-v1") as env:
        assert repr(env) == "GymEnv(env=CartPole-v1, batch_size=torch.Size([]), device=None)"
    assert repr(GymWrapper(CountingGym())).startswith("GymWrapper(env=CountingGym,")


def test_an_exception_inside_a_step_leaves_whole_rows() -> None:
    class Falls(CountingGym):
        def step(self, action: Any) -> Any:
            if self.count == 3:
                raise RuntimeError("fell over")
            return super().step(action)

    env = GymWrapper(Falls(limit=9))
    buffer = RolloutBuffer.allocate(env._row_layout(), 8, env.batch_size)
    with pytest.raises(RuntimeError, match="fell over"):
        env.rollout(8, out=buffer)
    assert buffer.filled == 3
    data = buffer.tensordict()
    assert data["observation"].squeeze(-1).tolist() == [0, 1, 2]
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3]


def test_an_info_key_that_is_taken_is_refused_and_changes_nothing() -> None:
    with GymWrapper(CountingGym(limit=3)) as env:
        shown = env.observation_spec.clone()
        for key, message in (
            ("observation", "already has .'observation'."),
            ("done", "the name of the observation"),
        ):
            with pytest.raises(SpecError, match=message):
                env.set_info_dict_reader(InfoReader([key]))
            assert env.observation_spec == shown
        env.rollout(2)


def test_what_cannot_be_wrapped_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    from gymnasium.envs.classic_control import CartPoleEnv

    closed: list[bool] = []
    monkeypatch.setattr(CartPoleEnv, "close", lambda self: closed.append(True))
    with pytest.raises(ConfigError, match="frame_skip"):
        GymEnv("CartPole-v1", frame_skip=0)
    assert closed == [True]


def test_a_name_is_made_with_what_the_constructor_takes() -> None:
    for checks in ("full", "off"):
        with GymEnv.from_name("CartPole-v1", checks=checks, frame_skip=2, categorical_action_encoding=True) as env:
            assert (env.checks, env.frame_skip) == (checks, 2)
            assert isinstance(env.action_spec, Categorical)
    with pytest.raises(ConfigError, match="checks: expected one of"):
        GymEnv.from_name("CartPole-v1", checks="fulll")


def test_a_wrapper_is_not_made_from_a_name() -> None:
    with pytest.raises(ConfigError, match="GymWrapper wraps an existing env"):
        GymWrapper.from_name("CartPole-v1")


@pytest.mark.parametrize("checks", ["first", "full"])
def test_a_copy_of_one_that_has_run(checks: str) -> None:
    env = GymEnv("CartPole-v1", checks=checks)
    env.set_seed(0)
    env.rollout(5)
    again = pickle.loads(pickle.dumps(env)), copy.deepcopy(env)
    torch.manual_seed(1)
    here = env.rollout(4)
    for one in again:
        torch.manual_seed(1)
        assert (one.rollout(4) == here).all()


def test_the_way_in_is_the_wrapper() -> None:
    with from_gymnasium(CountingGym(), frame_skip=2) as env:
        assert isinstance(env, GymWrapper)
        assert env.rollout(2)["next", "observation"].flatten().tolist() == [2, 4]


# -- words of TorchRL's -----------------------------------------------------------------------------------------------


def test_torchrls_arguments_are_taken() -> None:
    env = GymWrapper(CountingGym(), True, batch_size=[], convert_actions_to_numpy=False, spec_locked=False)
    assert isinstance(env.action_spec, Categorical)
    assert not env.is_spec_locked
    named = GymEnv("CartPole-v1", convert_actions_to_numpy=True, batch_size=torch.Size([]), allow_done_after_reset=True)
    assert named.env_name == "CartPole-v1"
    assert named.rollout(2).shape == (2,)
    assert GymEnv.from_name("CartPole-v1").env_name == "CartPole-v1"


@pytest.mark.parametrize(
    "make", [lambda **options: GymWrapper(CountingGym(), **options), partial(GymEnv, "CartPole-v1")]
)
def test_a_single_env_has_no_batch_size(make: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"^batch_size: found \[2\], but a .* is a single env\. For several, write .*Serial"
    ):
        make(batch_size=[2])


class Telling(CountingGym):
    """Its ``info`` holds more than numbers."""

    def step(self, action: Any) -> Any:
        *shown, info = super().step(action)
        more = {"place": np.full(2, self.count, np.float64), "alive": True, "name": "x", "_own": 1, "inner": {"a": 1}}
        return (*shown, {**info, **more})


@pytest.mark.parametrize("register", ["auto_register_info_dict", "set_info_dict_reader"])
def test_all_numbers_of_an_info_can_be_shown(register: str) -> None:
    env = GymWrapper(Telling())
    assert getattr(env, register)() is env
    assert set(env.observation_keys) == {"observation", "steps", "place", "alive"}
    data = env.rollout(3)
    assert data["next", "steps"].tolist() == [1, 2, 3]
    assert data["next", "place"].dtype == torch.float64
    assert data["next", "place"][:, 1].tolist() == [1, 2, 3]
    assert data["next", "alive"].dtype == torch.bool
    assert not data["steps"][0], "a reset says nothing"
    check_env_specs(env)
    assert "_own" in getattr(GymWrapper(Telling()), register)(ignore_private=False).observation_keys


def test_readers_of_an_info_add_up() -> None:
    env = GymWrapper(Telling(), info_keys=["steps"]).set_info_dict_reader(default_info_dict_reader(["place"]))
    env.set_info_dict_reader(lambda info, td: td.set("late", torch.as_tensor(info.get("alive", False))))
    assert len(env.info_dict_reader) == 3
    assert set(env.observation_keys) == {"observation", "steps", "place", "late"}
    data = env.rollout(3)
    assert data["next", "place"][:, 0].tolist() == data["next", "steps"].tolist() == [1, 2, 3]
    assert data["late"].tolist() == [False, True, True]
    check_env_specs(env)


def test_an_info_reader_that_does_not_fit_changes_nothing() -> None:
    env = GymWrapper(CountingGym())
    with pytest.raises(ConfigError, match=r"info_dict_reader: found a int\. Give envcli\.default_info_dict_reader"):
        env.set_info_dict_reader(3)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="wrote nothing"):
        env.set_info_dict_reader(lambda info, tensordict: tensordict)
    with pytest.raises(SpecError, match=r"already has \['observation'\]"):
        env.set_info_dict_reader(InfoReader(["observation"]))
    assert env.info_dict_reader == []
    assert env.rollout(2).shape == (2,)


@pytest.mark.parametrize("checks", ["full", "first", "off"])
def test_texts_are_observed(checks: str) -> None:
    with GymWrapper(TalkingGym(), checks=checks) as env:
        spec = env.observation_spec["mission"]
        assert spec == Text(256)
        data = env.rollout(2)
        assert spec.to_numpy(data["mission"]).tolist() == ["go to the green goal", "go to the green goal 1"]
        assert spec.to_numpy(data[-1]["next", "mission"]) == "go to the green goal 2"
        check_env_specs(env)


@pytest.mark.parametrize("checks", ["full", "first", "off"])
def test_a_text_without_room_says_what_to_type(checks: str) -> None:
    said = r"observation\.mission: expected at most 8 bytes of text, found 20: .*backend\.text_length=32"
    with GymWrapper(TalkingGym(), checks=checks, text_length=8) as env, pytest.raises(SpecError, match=said) as found:
        env.rollout(2)
    assert "Fix the simulator" not in str(found.value)


def test_texts_cannot_be_acted() -> None:
    toy = CountingGym()
    toy.action_space = gymnasium.spaces.Text(3)
    with pytest.raises(ConfigError, match="action_space: Text"):
        GymWrapper(toy)


def test_an_option_may_be_called_like_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of Meta-World's envs is: ``gymnasium.make("Meta-World/MT1", env_name="reach-v3")``."""
    spec = gymnasium.envs.registration.EnvSpec(
        "Tasks-v0", lambda env_name, **options: CountingGym(limit={"short": 2, "long": 5}[env_name])
    )
    monkeypatch.setitem(gymnasium.registry, "Tasks-v0", spec)
    with GymEnv("Tasks-v0", env_name="short") as env:
        assert env.env_name == "Tasks-v0"
        assert len(env.rollout(9)) == 2
    with GymEnv.from_name("Tasks-v0", env_name="long") as env:
        assert len(env.rollout(9)) == 5
    with pytest.raises(TypeError, match=r"GymEnv needs the name of an env: GymEnv\('CartPole-v1'\)"):
        GymEnv()

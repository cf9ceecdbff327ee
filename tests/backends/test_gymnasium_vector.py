"""Gymnasium's vector envs: the contract, the single env step by step, and the same batch made by us."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.backends.gymnasium_vector import GymnasiumVectorEnv, GymnasiumVectorWrapper
from envcli.batch.serial_env import SerialEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, UnknownName
from envcli.make import make_env
from envcli.testing import EnvContract
from tests.conftest import Command


class TestCartPole(EnvContract):
    def make_env(self) -> Env:
        return GymnasiumVectorEnv("CartPole-v1", 5)


class TestSync(EnvContract):
    def make_env(self) -> Env:
        return GymnasiumVectorEnv("Blackjack-v1", 3, frame_skip=2, categorical_action_encoding=True)


# -- an engine of its own ---------------------------------------------------------------------------------------------


def test_a_step_is_that_of_the_single_env() -> None:
    """From the same states, and with the float32 that states are shown in."""
    with GymnasiumVectorEnv("CartPole-v1", 4) as env:
        env.set_seed(0)
        data = env.rollout(60, break_when_any_done=False).flatten()
    assert data["next", "done"].sum() > 3
    single: Any = gymnasium.make("CartPole-v1").unwrapped
    for row in data:
        single.reset()
        single.state = row["observation"].double().numpy()
        observation, reward, terminated, _, _ = single.step(int(row["action"].argmax()))
        np.testing.assert_allclose(row["next", "observation"].numpy(), observation, rtol=1e-5, atol=1e-5)
        assert (row["next", "reward"].item(), row["next", "terminated"].item()) == (reward, terminated)


def test_the_end_of_an_episode_is_shown_and_the_next_row_begins_anew() -> None:
    with GymnasiumVectorEnv("CartPole-v1", 8) as env:
        env.set_seed(1)
        data = env.rollout(100, break_when_any_done=False)
    ended = data["next", "terminated"].squeeze(-1)
    last = data["next", "observation"][ended]
    assert ((last[:, 0].abs() > 2.4) | (last[:, 2].abs() > 12 * 2 * torch.pi / 360)).all()
    assert (data["observation"][:, 1:][ended[:, :-1]].abs() <= 0.05).all()
    assert (data["next", "reward"] == 1).all()  # the step that only resets, which pays 0, is never made
    going_on = ~ended[:, :-1]
    assert torch.equal(data["observation"][:, 1:][going_on], data["next", "observation"][:, :-1][going_on])


def test_a_time_limit_is_no_termination() -> None:
    with GymnasiumVectorEnv("CartPole-v1", 2, max_episode_steps=3) as env:
        following = env.rollout(6, break_when_any_done=False)["next"]
    assert following["truncated"][..., 0].tolist() == [[False, False, True] * 2] * 2
    assert not following["terminated"].any()


class Forgetful(VectorEnv[Any, Any, Any]):
    """Resets all envs, whatever mask it is given."""

    metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}  # noqa: RUF012 - as gymnasium has it

    def __init__(self, num_envs: int) -> None:
        self.num_envs, self.state = num_envs, np.zeros(num_envs, dtype=np.float32)
        self.single_observation_space = spaces.Box(-10, 10, ())
        self.single_action_space = spaces.Discrete(2)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.state = np.zeros_like(self.state)
        return self.state, {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.state = self.state + 1
        no = np.zeros(self.num_envs, dtype=bool)
        return self.state, self.state, no, no, {}


@pytest.fixture
def forgetful() -> str:
    if "Forgetful-v0" not in gymnasium.registry:
        gymnasium.register("Forgetful-v0", vector_entry_point=Forgetful)
    return "Forgetful-v0"


def test_an_engine_that_cannot_reset_some_envs_is_refused(forgetful: str) -> None:
    with pytest.raises(
        ConfigError, match=r"Forgetful, cannot reset some envs .* Type: backend.vectorization_mode=sync"
    ):
        GymnasiumVectorEnv(forgetful, 2)
    with GymnasiumVectorEnv(forgetful, 1) as env:  # there is nobody to leave alone
        assert env.rollout(3)["next", "observation"].flatten().tolist() == [1, 2, 3]


def test_an_engine_that_hides_the_last_observation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    same_step = {**CartPoleVectorEnv.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
    monkeypatch.setattr(CartPoleVectorEnv, "metadata", same_step)
    with pytest.raises(ConfigError, match=r"CartPole-v1: .* would be lost.* type: backend.vectorization_mode=sync"):
        GymnasiumVectorEnv("CartPole-v1", 2)


# -- sync -------------------------------------------------------------------------------------------------------------


class Numbered(gymnasium.Env[Any, Any]):
    """Its entries are numbered, and shown what was done before."""

    observation_space = spaces.Dict({7: spaces.Box(0, 9, (), np.float32)})
    action_space = spaces.Dict({3: spaces.Box(0, 9, (), np.float32)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return {7: np.float32(0)}, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return {7: action[3]}, 0.0, False, False, {}


def test_keys_that_are_no_words_are_called_as_they_are_written() -> None:
    if "Numbered-v0" not in gymnasium.registry:
        gymnasium.register("Numbered-v0", Numbered, disable_env_checker=True)
    with GymnasiumVectorEnv("Numbered-v0", 2, vectorization_mode="sync") as env:
        data = env.rollout(3)
    assert data["3"].any()
    assert torch.equal(data["next", "7"], data["3"])


@pytest.mark.parametrize("preset", ["blackjack", "pendulum"])
def test_a_loop_of_theirs_gives_the_bits_of_ours(preset: str) -> None:
    runs = []
    for words in (["backend=gymnasium_vector"], ["parallel=serial"]):
        torch.manual_seed(2)
        with make_env(f"env={preset}", *words, "parallel.num_envs=3", "seed=5") as env:
            runs.append(env.rollout(210, break_when_any_done=False))
    assert runs[0]["next", "done"].any()
    assert (runs[0] == runs[1]).all()


def test_a_repeated_action_ends_with_the_episode() -> None:
    with GymnasiumVectorEnv("CartPole-v1", 3, frame_skip=4) as env, GymnasiumVectorEnv("CartPole-v1", 3) as plain:
        env.set_seed(0)
        plain.set_seed(0)
        state, slow = env.reset(), plain.reset()
        push = torch.tensor([[1, 0]] * 3)
        for _ in range(2):
            stepped, seen = env.step(state.set("action", push))["next"], []
            for _ in range(4):
                seen.append(plain.step(slow.set("action", push))["next"])
                slow = plain.step_mdp(slow)
            for i in range(3):
                ends = [one["done"][i].item() for one in seen]
                count = ends.index(True) + 1 if True in ends else 4
                assert torch.equal(stepped["observation"][i], seen[count - 1]["observation"][i])
                assert (stepped["reward"][i].item(), stepped["done"][i].item()) == (count, True in ends)
            state = env.step_mdp(state)
            if any(True in [one["done"][i].item() for one in seen] for i in range(3)):
                break


def test_frames_are_those_of_each_env() -> None:
    pytest.importorskip("pygame")
    with GymnasiumVectorEnv("CartPole-v1", 2, from_pixels=True, pixels_only=False) as env:
        data = env.rollout(3, break_when_any_done=False)
    assert data["pixels"].shape == (2, 3, 400, 600, 3)
    assert set(map(str, data["next"].keys())) == {"pixels", "observation", "reward", "done", "terminated", "truncated"}
    assert not torch.equal(data["pixels"][0, 0], data["pixels"][1, 0])
    assert torch.equal(data["pixels"][:, 1], data["next", "pixels"][:, 0])


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_the_last_frame_of_a_repeated_action_is_of_the_episode_that_it_ends(mode: str) -> None:
    pytest.importorskip("pygame")
    options: dict[str, Any] = {"vectorization_mode": mode, "from_pixels": True, "pixels_only": False}
    with GymnasiumVectorEnv("CartPole-v1", 2, frame_skip=5, **options) as env:
        env.set_seed(4)
        following = env.rollout(25, break_when_any_done=False)["next"].flatten()
    last = following[following["done"].squeeze(-1)]
    assert len(last) > 5
    single: Any = gymnasium.make("CartPole-v1", render_mode="rgb_array").unwrapped
    single.reset()
    for row in last:
        single.state = row["observation"].double().numpy()
        np.testing.assert_array_equal(row["pixels"], single.render())


def test_the_first_frame_of_others_stays_where_some_begin_anew() -> None:
    pytest.importorskip("pygame")
    with GymnasiumVectorEnv("CartPole-v1", 2, from_pixels=True, pixels_only=False) as env:
        env.set_seed(0)  # two beginnings drawn by chance may look the same
        begun = env.reset()
        env.rand_step(begun.copy())
        again = env.reset(begun.clone().set("_reset", torch.tensor([[True], [False]])))
    assert not torch.equal(again["pixels"][0], begun["pixels"][0])
    assert torch.equal(again["pixels"][1], begun["pixels"][1])


# -- what is typed ----------------------------------------------------------------------------------------------------


def test_mistakes_are_explained() -> None:
    with pytest.raises(UnknownName, match=r"vectorization_mode 'async'. .* For processes: backend=gymnasium parallel="):
        GymnasiumVectorEnv("CartPole-v1", 2, vectorization_mode="async")
    with pytest.raises(UnknownName, match="CartPole-v1"):
        GymnasiumVectorEnv("CartPol-v1", 2)
    with pytest.raises(ConfigError, match="does not take these options: gravity"):
        GymnasiumVectorEnv("CartPole-v1", 2, gravity=3)
    with pytest.raises(ConfigError, match=r"Pendulum-v1 cannot be made: .* vector entry point"):
        GymnasiumVectorEnv("Pendulum-v1", 2, vectorization_mode="vector_entry_point")


def test_those_with_an_engine_are_listed() -> None:
    names = GymnasiumVectorEnv.available_names()
    assert "CartPole-v1" in names
    assert "Pendulum-v1" not in names


def test_the_commands_see_the_batch(cli: Command) -> None:
    words = ("env=cartpole", "backend=gymnasium_vector", "parallel.num_envs=64")
    done = cli("rollout", *words, "max_steps=100", "seed=1")
    assert (done.code, done.err) == (0, "")
    assert "steps     6,400, 100 of each of 64 envs" in done.out
    assert "CartPole-v1 (backend=gymnasium_vector) x 64\n" in cli("spec", *words).out
    assert cli("check", *words[:2], "parallel.num_envs=3").code == 0
    refused = cli("rollout", *words, "parallel=processes")
    assert refused.code == 2
    assert "Type: parallel=none parallel.num_envs=64" in refused.err


# -- given ------------------------------------------------------------------------------------------------------------


class TestGiven(EnvContract):
    def make_env(self) -> Env:
        return GymWrapper(SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 3), frame_skip=2)


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_a_vector_env_that_is_given_shows_what_serial_envs_do(kind: Any, mode: AutoresetMode) -> None:
    engine = kind([lambda: gymnasium.make("CartPole-v1")] * 3, autoreset_mode=mode)
    if kind is AsyncVectorEnv and mode is AutoresetMode.SAME_STEP:
        with pytest.raises(ConfigError, match=r"^AsyncVectorEnv: its engine, .* the autoreset_mode SAME_"):
            GymWrapper(engine)
        engine.close()
        return
    with GymWrapper(engine, True) as env, SerialEnv(3, partial(GymEnv, "CartPole-v1")) as serial:
        assert isinstance(env, GymnasiumVectorWrapper)
        assert env.action_spec.shape == torch.Size([3])
        assert f"env={kind.__name__}" in repr(env)
        assert env.set_seed(3) == serial.set_seed(3)
        moves = torch.randint(2, (40, 3))
        data = env.rollout(40, actions=list(moves), break_when_any_done=False)
        one_hot = [torch.nn.functional.one_hot(move, 2) for move in moves]
        expected = serial.rollout(40, actions=one_hot, break_when_any_done=False)
        assert data["next", "done"].any()
        assert (data.exclude("action") == expected.exclude("action")).all()
    assert engine.closed

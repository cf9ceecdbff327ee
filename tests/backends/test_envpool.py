"""EnvPool: the contract, where episodes end, and what the engine does for transforms=atari."""

from __future__ import annotations

import warnings

import pytest
import torch

from envcli.configuration.reading import read
from envcli.envs.env import Env
from envcli.errors import ConfigError, UnknownName
from envcli.make import make_env
from envcli.seeding import seed_chain
from envcli.testing import EnvContract

pytest.importorskip("envpool", reason="envpool is not installed (extra envpool)")

import envpool

from envcli.backends.envpool import EnvpoolEnv


class TestCartPole(EnvContract):
    def make_env(self) -> Env:
        return EnvpoolEnv("CartPole-v1", 5, num_threads=2)


class TestRepeatedBlackjack(EnvContract):
    def make_env(self) -> Env:
        return EnvpoolEnv("Blackjack-v1", 3, frame_skip=2, categorical_action_encoding=True, device="cpu")


def test_the_end_of_an_episode_is_shown_and_the_next_row_begins_anew() -> None:
    torch.manual_seed(1)
    with EnvpoolEnv("CartPole-v1", 8) as env:
        data = env.rollout(100, break_when_any_done=False)
    ended = data["next", "terminated"].squeeze(-1)
    last = data["next", "observation"][ended]
    assert ended.sum() > 8
    assert ((last[:, 0].abs() > 2.4) | (last[:, 2].abs() > 12 * 2 * torch.pi / 360)).all()
    assert (data["observation"][:, 1:][ended[:, :-1]].abs() <= 0.05).all()
    assert (data["next", "reward"] == 1).all()  # the step that only resets, which pays 0, is never made


def test_rows_are_what_the_bare_engine_gives() -> None:
    torch.manual_seed(2)
    with EnvpoolEnv("Pendulum-v1", 3, num_threads=2) as env:
        env.set_seed(4)
        data = env.rollout(20)
    seeds = [seed % 2**31 for seed in seed_chain(4, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium's, about bounds that EnvPool announces in doubles
        bare = envpool.make_gymnasium("Pendulum-v1", num_envs=3, seed=seeds)
        _ = bare.observation_space, bare.action_space
    observation, _ = bare.reset()
    for t in range(20):
        assert data["observation"][:, t].numpy().tolist() == observation.tolist()
        observation, reward, *_ = bare.step(data["action"][:, t].numpy())
        assert data["next", "reward"][:, t, 0].numpy().tolist() == reward.tolist()


def test_a_time_limit_is_no_termination() -> None:
    with EnvpoolEnv("CartPole-v1", 2, max_episode_steps=3) as env:
        following = env.rollout(6, break_when_any_done=False)["next"]
    assert following["truncated"][..., 0].tolist() == [[False, False, True] * 2] * 2
    assert not following["terminated"].any()


def test_names_of_other_backends_presets_are_understood() -> None:
    for name, task in (
        ("Pong", "Pong-v5"),
        ("ALE/AirRaid-v5", "AirRaid-v5"),
        ("ball_in_cup-catch", "BallInCupCatch-v1"),
    ):
        assert EnvpoolEnv.from_name(name).task == task
    assert "CartPole-v1" in EnvpoolEnv.available_names()


def test_bounds_that_are_none_are_not_taken_for_some() -> None:
    with EnvpoolEnv("CheetahRun-v1", 2) as env:
        shown = env.reset()
        assert (shown["velocity"] < 0).any() or (shown["position"] < 0).any()
        assert env.observation_spec.is_in(shown.select(*env.observation_keys))


def test_the_engine_does_what_the_bundle_asks_for() -> None:
    words = ("env=pong", "backend=envpool", "parallel.num_envs=2")
    with make_env(*words, "transforms=[atari,step_counter]") as env:
        data = env.rollout(3)
        assert (data["pixels"].shape, data["pixels"].dtype) == ((2, 3, 4, 84, 84), torch.uint8)
        assert [type(transform).__name__ for transform in env.transform] == ["StepCounter"]
    with make_env(*words) as env:
        frames = env.rollout(3)["pixels"]
        assert frames.shape == (2, 3, 210, 160, 3)
        assert frames[0, 0, 100, 80].tolist() == [109, 118, 43]  # Pong's ground, channels last
    cfg = read("rollout", [*words, "transforms=atari", "backend.native_transforms=false"])
    node, rest = EnvpoolEnv.absorb(cfg.backend, cfg.transforms)
    assert (node["options"], len(rest)) == ({"noop_max": 30}, 5)


def test_mistakes_are_explained() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'CartPole-v1'"):
        EnvpoolEnv("CartPol-v1")
    with pytest.raises(ConfigError, match=r"CartPole-v1 cannot be made with .*gravity"):
        EnvpoolEnv("CartPole-v1", gravity=3)
    with pytest.raises(ConfigError, match=r"from_pixels: EnvPool renders no frames of CartPole-v1"):
        make_env("env=cartpole", "backend=envpool", "from_pixels=true")
    with EnvpoolEnv("CartPole-v1", 2) as env, pytest.raises(ConfigError, match="EnvPool takes no options, found low"):
        env.reset(low=1)

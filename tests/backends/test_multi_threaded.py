"""MultiThreadedEnv: EnvPool's envs, as TorchRL sets and shows them."""

from __future__ import annotations

import warnings

import pytest
import torch

from envcli.envs.env import Env
from envcli.errors import ConfigError, UnknownName
from envcli.seeding import seed_chain
from envcli.specs import Categorical, OneHot
from envcli.testing import EnvContract

pytest.importorskip("envpool", reason="envpool is not installed (extra envpool)")

import envpool

from envcli.backends.envpool import EnvpoolEnv
from envcli.backends.multi_threaded import MultiThreadedEnv


class TestCartPole(EnvContract):
    def make_env(self) -> Env:
        return MultiThreadedEnv(3, "CartPole-v1", create_env_kwargs={"num_threads": 2})


def test_what_it_shows_and_takes() -> None:
    with MultiThreadedEnv(num_workers=3, env_name="CartPole-v1") as env:
        assert (env.num_workers, env.env_name, env.create_env_kwargs) == (3, "CartPole-v1", {})
        assert env.batch_size == (3,)
        assert env.action_spec == Categorical(2, shape=[3])
        made = env.rollout(20, break_when_any_done=False)
    assert made["observation"].shape == (3, 20, 4)
    assert made["action"].shape == (3, 20)
    assert made["next", "reward"].shape == made["done"].shape == (3, 20, 1)
    with MultiThreadedEnv(2, "CartPole-v1", categorical_action_encoding=False) as env:
        assert env.action_spec == OneHot(2, shape=[2, 2], dtype=torch.int64)


def test_rows_are_those_of_the_backend() -> None:
    made = []
    for env in (EnvpoolEnv("Pendulum-v1", 3), MultiThreadedEnv(3, "Pendulum-v1")):
        with env:
            env.set_seed(4)
            torch.manual_seed(0)
            made.append(env.rollout(20))
    assert set(made[0].keys(True, True)) == set(made[1].keys(True, True))
    assert (made[0] == made[1]).all()


def test_atari_as_the_engine_sets_it() -> None:
    with MultiThreadedEnv(2, "ALE/Pong-v5") as env:
        env.set_seed(4)
        assert env.frames_per_step == 4
        shown = env.reset()["observation"]
        following = env.step(env.reset().set("action", torch.zeros(2, dtype=torch.int64)))["next", "observation"]
    assert shown.shape == following.shape == (2, 4, 84, 84)
    assert shown.dtype == torch.uint8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium's, about bounds that EnvPool announces in doubles
        bare = envpool.make_gymnasium("Pong-v5", num_envs=2, seed=[seed % 2**31 for seed in seed_chain(4, 1)])
    assert shown.numpy().tolist() == bare.reset()[0].tolist()


def test_a_seed_among_the_arguments() -> None:
    first = []
    for options in ({"seed": 7}, {"seed": [7, *seed_chain(7, 1)[:1]]}, {"seed": 8}):
        with MultiThreadedEnv(2, "CartPole-v1", create_env_kwargs=options) as env:
            first.append(env.reset()["observation"])
    with MultiThreadedEnv(2, "CartPole-v1") as env:
        env.set_seed(7)
        assert torch.equal(env.reset()["observation"], first[0])
    assert not torch.equal(first[0], first[2])


def test_arguments_go_to_the_engine() -> None:
    with MultiThreadedEnv(2, "CartPole-v1", create_env_kwargs={"max_episode_steps": 3}) as env:
        ends = env.rollout(6, break_when_any_done=False)["next", "truncated"]
    assert ends[..., 0].tolist() == [[False, False, True] * 2] * 2
    with pytest.raises(ConfigError, match="CartPole-v1 cannot be made with"):
        MultiThreadedEnv(2, "CartPole-v1", create_env_kwargs={"wings": 2})
    with pytest.raises(UnknownName, match="CartPole-v1"):
        MultiThreadedEnv(2, "CartPole-v11")

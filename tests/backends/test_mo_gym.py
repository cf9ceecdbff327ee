"""MO-Gymnasium: the contract, its own loop bit for bit, and TorchRL's class of the same name."""

from __future__ import annotations

import importlib.util
import random
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envcli.backends.gym import GymEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, UnknownName
from envcli.make import make_env
from envcli.specs import Bounded, Unbounded
from envcli.testing import EnvContract
from envcli.transforms.linearise_rewards import LineariseRewards

if importlib.util.find_spec("mo_gymnasium") is None:
    pytest.skip("mo-gymnasium is not installed (extra mo-gymnasium)", allow_module_level=True)

import mo_gymnasium

from envcli.backends.mo_gym import MOGymEnv, MOGymWrapper

TREASURE = "deep-sea-treasure-v0"


class TestTreasure(EnvContract):
    def make_env(self) -> Env:
        return MOGymEnv(TREASURE)


class TestMinecart(EnvContract):
    def make_env(self) -> Env:
        return MOGymEnv("minecart-v0", frame_skip=3, checks="full")


def made(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that bounds are rounded
        return mo_gymnasium.make(name)


@pytest.mark.parametrize("name", [TREASURE, "water-reservoir-v0", "fruit-tree-v0", "mo-halfcheetah-v5"])
def test_a_rollout_is_the_bare_loop_bit_for_bit(name: str) -> None:
    with MOGymEnv(name, categorical_action_encoding=True) as env:
        env.set_seed(3)
        data = env.rollout(300, break_when_any_done=False)
    bare = made(name)
    bare.reset(seed=3)
    for row in data:
        observation, reward, terminated, truncated, _ = bare.step(row["action"].numpy())
        assert np.array_equal(row["next", "observation"].numpy(), observation)
        assert np.array_equal(row["next", "reward"].numpy(), np.asarray(reward, np.float32))
        assert row["next", "done"].item() == (terminated or truncated)
        if terminated or truncated:
            bare.reset()
    bare.close()


def test_the_reward_is_bounded_as_the_env_says() -> None:
    with MOGymEnv(TREASURE) as env:
        assert isinstance(env.reward_spec, Bounded)
        assert env.reward_spec.shape == (2,)
        assert (env.reward_spec.low.tolist(), env.reward_spec.high.tolist()) == ([0, -1], [pytest.approx(23.7), -1])
    with MOGymEnv("mo-halfcheetah-v5") as env:
        assert env.reward_spec == Unbounded([2])


def test_repeated_steps_are_added_up_and_unbounded() -> None:
    with MOGymEnv(TREASURE, frame_skip=4) as env:
        assert env.reward_spec == Unbounded([2])
        down, right = torch.eye(4, dtype=torch.int64)[[1, 3]]
        assert env.step(env.reset().set("action", down))["next", "reward"].tolist() == [pytest.approx(0.7), -1]
        assert env.step(env.reset().set("action", right))["next", "reward"].tolist() == [0, -4]


def test_workers_pay_as_the_serial_env_does() -> None:
    make = partial(MOGymEnv, TREASURE)
    found = []
    for batch in (SerialEnv(3, make), ParallelEnv(3, make, num_workers=2)):
        torch.manual_seed(0)
        with batch as env:
            env.set_seed(0)
            found.append(env.rollout(100, break_when_any_done=False))
    assert found[0]["next", "reward"].shape == (3, 100, 2)
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("name", ["minecart-v0", "four-room-v0"])
def test_the_same_seed_gives_the_same_episodes_whatever_else_is_drawn(name: str) -> None:
    found = []
    for draws in range(2):
        torch.manual_seed(0)
        np.random.seed(draws)
        random.seed(draws)
        with SerialEnv(2, partial(MOGymEnv, name)) as env:
            env.set_seed(5)
            found.append(env.rollout(400, break_when_any_done=False))
    assert found[0]["next", "reward"][..., :2].any(), "the test must see an ore"
    assert (found[0] == found[1]).all()


def test_the_sum_of_mo_gymnasium_is_the_sum_of_ours() -> None:
    weights = [1.0, 0.25]
    with (
        MOGymWrapper(mo_gymnasium.wrappers.LinearReward(made(TREASURE), np.array(weights))) as theirs,
        TransformedEnv(MOGymEnv(TREASURE), LineariseRewards(["reward"], weights=weights)) as ours,
    ):
        assert theirs.reward_spec == Unbounded([1])
        torch.manual_seed(0)
        actions = [ours.action_spec.rand() for _ in range(20)]
        for env in (theirs, ours):
            env.set_seed(0)
        paid = [
            [env.step(env.reset().set("action", action))["next", "reward"] for action in actions]
            for env in (theirs, ours)
        ]
    torch.testing.assert_close(*paid)


def test_it_is_made_from_a_line_of_yaml() -> None:
    with make_env(
        "env=minecart", "transforms=linearise_rewards", "transforms.linearise_rewards.weights=[1,1,0.5]"
    ) as env:
        assert isinstance(env, TransformedEnv)
        assert isinstance(env.base_env, MOGymEnv)
        assert env.reward_spec.shape == (1,)


def test_nothing_is_said_of_models_and_bounds_that_others_wrote(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where MuJoCo would write it down
    for name in ("mo-halfcheetah-v5", "minecart-v0"):
        MOGymEnv(name).close()
    assert "".join(capfd.readouterr()) == ""
    assert list(tmp_path.iterdir()) == []


def test_names() -> None:
    names = MOGymEnv.available_envs
    assert {TREASURE, "minecart-v0", "mo-hopper-v5"} <= set(names)
    assert names == MOGymWrapper.available_envs
    assert not set(names) & set(GymEnv.available_envs)
    assert issubclass(MOGymEnv, MOGymWrapper)
    with pytest.raises(UnknownName, match=f"Did you mean '{TREASURE}'"):
        MOGymEnv("deep-sea-treasre-v0")


def test_gymnasium_has_no_room_for_them_in_its_vectors() -> None:
    with pytest.raises(ConfigError, match=r"several objectives.*backend=mo_gymnasium backend.name=minecart-v0"):
        make_env("backend=gymnasium_vector", "backend.name=minecart-v0", "parallel.num_envs=2")


@pytest.mark.filterwarnings("ignore")  # theirs to mend
def test_torchrl_shows_the_same() -> None:
    torchrl = pytest.importorskip("torchrl.envs")
    found: list[Any] = []
    for env in (torchrl.MOGymEnv(TREASURE), MOGymEnv(TREASURE)):
        env.set_seed(0)
        first = env.reset()
        found.append((env.reward_spec, env.rand_step(first)))
        env.close()
    (theirs, their_step), (ours, our_step) = found
    assert (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
    assert torch.equal(theirs.space.low, ours.low)
    assert torch.equal(theirs.space.high, ours.high)
    assert set(their_step["next"].keys()) == set(our_step["next"].keys())
    assert their_step["next", "reward"].shape == our_step["next", "reward"].shape == (2,)

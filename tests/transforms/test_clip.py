"""ClipTransform: observations and actions within limits."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.clip import ClipTransform


class TestBothWays(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(
            CountingEnv([4, 5], [2]), ClipTransform(["observation"], None, ["action"], low=-0.5, high=1)
        )


def test_observations() -> None:
    env = TransformedEnv(CountingEnv(9), ClipTransform(["observation"], low=1, high=3))
    data = env.rollout(6)
    assert data["observation"].squeeze(-1).tolist() == [1, 1, 2, 3, 3, 3]
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3, 3, 3, 3]
    assert env.observation_spec["observation"] == Bounded(1, 3, shape=[1])


def test_a_partial_reset_shows_only_whom_it_names() -> None:
    env = TransformedEnv(CountingEnv(99, [2]), ClipTransform(["observation"], low=1.5))
    td = env.rand_step(env.reset())["next"].clone()
    td = env.rand_step(td)["next"].clone()
    td["_reset"] = torch.tensor([[True], [False]])
    assert env.reset(td)["observation"].tolist() == [[1.5], [2.0]]


def test_any_action_may_be_given() -> None:
    env = TransformedEnv(CountingEnv(), ClipTransform(in_keys_inv=["action"], low=-1, high=0.5))
    assert env.action_spec == Unbounded([1])
    td = env.step(env.reset().set("action", torch.tensor([7.0])))
    assert td["next", "reward"] == 0.5
    assert td["action"] == 7
    half = TransformedEnv(CountingEnv(), ClipTransform(in_keys_inv=["action"], high=0.5))
    assert half.action_spec == Bounded(-1, float("inf"), shape=[1])


def test_an_action_under_another_name() -> None:
    clip = ClipTransform(in_keys_inv=["action"], out_keys_inv=["wish"], low=-1, high=1)
    env = TransformedEnv(CountingEnv(), clip)
    assert env.action_keys == ["wish"]
    assert env.step(env.reset().set("wish", torch.tensor([-3.0])))["next", "reward"] == -1


def test_small_integers_do_not_wrap() -> None:
    td = TensorDict({"pixels": torch.tensor([0, 5, 200], dtype=torch.uint8)})
    assert ClipTransform(["pixels"], low=-1, high=6)(td)["pixels"].tolist() == [0, 5, 6]
    assert td["pixels"].dtype == torch.uint8


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"ClipTransform: found no limit. Give low, high or both"):
        ClipTransform(["observation"])
    with pytest.raises(
        TransformError,
        match=r"high=5 is outside the simulator's range, -1 to 1. Clip to that range, or a smaller one",
    ):
        TransformedEnv(CountingEnv(), ClipTransform(in_keys_inv=["action"], low=-1, high=5))
    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist"):
        TransformedEnv(CountingEnv(), ClipTransform(["pixels"], low=0))


def test_whole_numbers_can_have_an_infinite_limit() -> None:
    clip = ClipTransform(["x"], low=-float("inf"), high=3)
    assert clip(TensorDict({"x": torch.arange(6, dtype=torch.uint8)}, []))["x"].tolist() == [0, 1, 2, 3, 3, 3]

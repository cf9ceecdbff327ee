"""UnsqueezeTransform."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.unsqueeze import UnsqueezeTransform
from tests.transforms.image_toy import FramesEnv


class TestOfObservationsAndRewards(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([3, 4], [2]), UnsqueezeTransform(-1, in_keys=["observation", "reward"]))


class TestOfActions(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(), UnsqueezeTransform(-1, in_keys_inv=["action"], out_keys_inv=["wide"]))


class TestFromTheFront(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(
            FramesEnv([3, 4], [2]), UnsqueezeTransform(0, allow_positive_dim=True, in_keys=["pixels"])
        )


def test_shapes_and_values_in_an_env() -> None:
    chain = UnsqueezeTransform(-2, in_keys=["observation"], in_keys_inv=["action"])
    env = TransformedEnv(CountingEnv([3, 4], [2]), chain)
    rollout = env.rollout(2)
    assert rollout["action"].shape == (2, 2, 1, 1)
    assert rollout["observation"].shape == (2, 2, 1, 1)
    assert torch.equal(rollout["next", "reward"], rollout["action"].squeeze(-2)), "the toy pays the action"
    assert env.action_spec.shape == (2, 1, 1)


def test_in_an_env_and_on_a_rollout() -> None:
    raw = FramesEnv([3, 4], [2]).rollout(3)
    for dim, more in ((-3, {}), (0, {"allow_positive_dim": True}), (2, {"allow_positive_dim": True})):
        env = TransformedEnv(FramesEnv([3, 4], [2]), UnsqueezeTransform(dim, **more, in_keys=["pixels"]))
        replayed = UnsqueezeTransform(dim, **more, in_keys=["pixels"])(raw.clone())
        assert torch.equal(replayed["pixels"], env.rollout(3)["pixels"])


def test_use_on_a_tensordict_leaves_the_env_right() -> None:
    chain = UnsqueezeTransform(0, allow_positive_dim=True, in_keys=["observation"])
    env = TransformedEnv(CountingEnv(), chain)
    assert chain(TensorDict(observation=torch.zeros(5, 4, 1), batch_size=[5, 4]))["observation"].shape == (5, 4, 1, 1)
    assert env.reset()["observation"].shape == (1, 1)


def test_misfits_are_named() -> None:
    with pytest.raises(
        TransformError, match=r"dim: expected a negative number, counted from the end, found 1. allow_pos"
    ):
        UnsqueezeTransform(1)
    with pytest.raises(ConfigError, match="dim: required but not given"):
        UnsqueezeTransform()
    with pytest.raises(TransformError, match=r"'observation', a \[1\]"):
        TransformedEnv(CountingEnv(), UnsqueezeTransform(-4, in_keys=["observation"]))
    with pytest.raises(TransformError, match=r"\['pixels'\] do not exist"):
        TransformedEnv(CountingEnv(), UnsqueezeTransform(-1, in_keys=["pixels"]))


def test_an_action_stays_what_it_is() -> None:
    """Unbounded booleans would be drawn, of which the simulator understands few."""
    with pytest.raises(TransformError, match="would destroy the encoding of 'action', a OneHot"):
        TransformedEnv(GymEnv("CartPole-v1"), UnsqueezeTransform(-1, in_keys_inv=["action"]))

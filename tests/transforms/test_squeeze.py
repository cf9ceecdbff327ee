"""SqueezeTransform."""

from __future__ import annotations

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.gray_scale import GrayScale
from envcli.transforms.squeeze import SqueezeTransform
from tests.transforms.image_toy import FramesEnv


class TestOfGrayFrames(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([3, 4], [2]), Compose(GrayScale(), SqueezeTransform(-1, in_keys=["pixels"])))


class TestOfActions(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(), SqueezeTransform(-1, in_keys_inv=["action"]))


def test_shapes_and_values() -> None:
    env = TransformedEnv(CountingEnv(), SqueezeTransform(-1, in_keys=["observation"], in_keys_inv=["action"]))
    rollout = env.rollout(3)
    assert rollout["observation"].tolist() == [0, 1, 2]
    assert env.action_spec.shape == ()
    assert torch.equal(rollout["next", "reward"].squeeze(-1), rollout["action"]), "the toy pays the action"


def test_in_an_env_and_on_a_rollout() -> None:
    chain = SqueezeTransform(0, allow_positive_dim=True, in_keys=["observation"])
    seen = TransformedEnv(CountingEnv([3, 4], [2]), chain).rollout(3)
    replayed = chain.clone()(CountingEnv([3, 4], [2]).rollout(3))
    assert seen["observation"].shape == (2, 3)
    assert torch.equal(replayed["observation"], seen["observation"])


def test_misfits_are_named() -> None:
    with pytest.raises(TransformError, match=r"'pixels', a \[12, 10, 3\]: dimension -1 of \[12, 10, 3\] has size 3"):
        TransformedEnv(FramesEnv(), SqueezeTransform(-1, in_keys=["pixels"]))
    with pytest.raises(TransformError, match="dim: expected a negative number"):
        SqueezeTransform(0)

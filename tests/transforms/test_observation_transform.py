"""ObservationTransform: what transforms of observations begin with."""

from __future__ import annotations

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.observation_transform import ObservationTransform
from tests.transforms.image_toy import FramesEnv


class Doubled(ObservationTransform):
    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs * 2


class TestDoubled(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(), Doubled())


def test_it_changes_what_the_env_has() -> None:
    assert Doubled().in_keys == Doubled().out_keys == ["observation", "pixels"]
    data = TransformedEnv(CountingEnv(), Doubled()).rollout(3)
    assert data["next", "observation"].flatten().tolist() == [2, 4, 6]
    assert "pixels" not in data
    env = TransformedEnv(FramesEnv(), Doubled())
    assert torch.equal(env.reset()["pixels"], FramesEnv().reset()["pixels"] * 2)


def test_what_is_named_must_be_there() -> None:
    assert Doubled(["start"], ["far"]).out_keys == ["far"]
    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist"):
        TransformedEnv(CountingEnv(), Doubled(["pixels"]))

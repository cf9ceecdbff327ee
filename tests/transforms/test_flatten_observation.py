"""FlattenObservation: neighbouring dimensions merged."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.flatten_observation import FlattenObservation
from envcli.transforms.unsqueeze import UnsqueezeTransform


def flat(*dims: int, positive: bool = False) -> Compose:
    return Compose(
        UnsqueezeTransform(-1, in_keys=["observation"]),
        FlattenObservation(*dims, in_keys=["observation"], allow_positive_dim=positive),
    )


class TestFlat(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), flat(-2, -1))


def test_the_last_varies_fastest() -> None:
    image = torch.arange(24).reshape(2, 3, 4)
    td = FlattenObservation(-2, -1)(TensorDict({"pixels": image.clone()}, [2]))
    assert torch.equal(td["pixels"], image.reshape(2, 12))
    td = FlattenObservation(0, 1, allow_positive_dim=True)(TensorDict({"pixels": image.clone()}, [2]))
    assert torch.equal(td["pixels"], image.reshape(2, 12))


@pytest.mark.parametrize("batch", [[], [2]])
@pytest.mark.parametrize("dims", [(-2, -1), (0, 1), (0, -1)])
def test_in_an_env(batch: list[int], dims: tuple[int, int]) -> None:
    env = TransformedEnv(CountingEnv(4, batch), flat(*dims, positive=True))
    assert env.observation_spec["observation"] == Bounded(0, 1e6, shape=[*batch, 1])
    assert env.rollout(3)["observation"].reshape(-1, 3)[0].tolist() == [0, 1, 2]


def test_what_cannot_be() -> None:
    with pytest.raises(
        ConfigError, match=r"dimensions 0 to -1, expected negative ones.*allow_positive_dim=True counts"
    ):
        FlattenObservation(0, -1)
    with pytest.raises(ConfigError, match="first_dim -1 comes after last_dim -2"):
        FlattenObservation(-1, -2)
    with pytest.raises(TransformError, match=r"does not fit 'observation', a \[1\]: it has no dimensions -3 to -1"):
        TransformedEnv(CountingEnv(batch_size=[2]), FlattenObservation(-3, -1, in_keys=["observation"]))
    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist"):
        TransformedEnv(CountingEnv(), FlattenObservation(-3, -1))

"""DeviceCastTransform: tensors handed out on another device."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.device_cast import DeviceCastTransform
from envcli.transforms.reward_sum import RewardSum

DEVICES = ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])]


class TestCast(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), Compose(DeviceCastTransform(DEVICES[-1]), RewardSum()))


@pytest.mark.parametrize("device", DEVICES)
def test_in_an_env(device: str) -> None:
    base = CountingEnv(9)
    assert base.reset().device is None
    env = TransformedEnv(base, DeviceCastTransform(device))
    assert env.device == torch.device(device)
    assert env.base_env.device is None, "the simulator stays where it is"
    assert env.rollout(2).device == env.reset().device == env.rand_action().device == torch.device(device)
    assert env.observation_spec.device == env.action_spec.device == torch.device(device)


def test_to_says_otherwise() -> None:
    env = TransformedEnv(CountingEnv(9), DeviceCastTransform(DEVICES[-1]))
    assert env.device == torch.device(DEVICES[-1])
    assert env.to("cpu").device == env.transform.device == env.rollout(2).device == torch.device("cpu")


def test_on_a_tensordict() -> None:
    td = TensorDict({"a": torch.ones(1), "b": torch.ones(1)})
    assert DeviceCastTransform("meta")(td)["a"].is_meta
    assert not td["a"].is_meta
    some = DeviceCastTransform("meta", "cpu", in_keys=["a"], in_keys_inv=["b"])(td.clone())
    assert some["a"].is_meta
    assert not some["b"].is_meta
    assert DeviceCastTransform("cpu", "meta").inv(td)["a"].is_meta
    back = DeviceCastTransform("cpu", "meta", in_keys=[], in_keys_inv=["b"]).inv(td)
    assert [back["a"].is_meta, back["b"].is_meta] == [False, True]
    assert DeviceCastTransform("meta").inv(td)["a"].device == torch.device("cpu")


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="DeviceCastTransform: device is 'tpux', which cannot be used here"):
        DeviceCastTransform("tpux")
    with pytest.raises(
        TransformError, match=r"all entries of an env are on one device. Leave in_keys and in_keys_inv out"
    ):
        TransformedEnv(CountingEnv(), DeviceCastTransform("cpu", in_keys=["observation"]))

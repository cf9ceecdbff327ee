"""SignTransform: numbers reduced to their signs."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.sign import SignTransform
from tests.transforms.test_action_scaling import Takes


class TestSigned(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), SignTransform(["reward", "observation"]))


def test_it_signs() -> None:
    td = TensorDict({"a": torch.tensor([-2.0, -0.0, 0.0, 1e-30, float("nan")]), "b": torch.tensor([-3, 0, 4])})
    out = SignTransform(["a", "b"])(td)
    assert out["a"].tolist() == [-1, 0, 0, 1, 0]
    assert out["b"].tolist() == [-1, 0, 1]


def test_in_an_env() -> None:
    torch.manual_seed(0)
    plain = CountingEnv().rollout(5)
    torch.manual_seed(0)
    env = TransformedEnv(CountingEnv(), SignTransform(["reward", "observation"]))
    data = env.rollout(5)
    assert set(data["next", "reward"].flatten().tolist()) == {-1, 1}
    assert torch.equal(data["next", "reward"], plain["next", "reward"].sign())
    assert data["observation"].flatten().tolist() == [0, 1, 1, 1, 1]
    assert env.reward_spec == Bounded(-1, 1, shape=[1])
    assert env.observation_spec["observation"] == Bounded(0, 1, shape=[1])


def test_the_sign_of_an_action() -> None:
    env = TransformedEnv(CountingEnv(), SignTransform(in_keys_inv=["action"]))
    assert env.step(env.reset().set("action", torch.tensor([0.2])))["next", "reward"] == 1


def test_nothing_is_taken_unless_named() -> None:
    assert SignTransform().in_keys == []
    with pytest.raises(TransformError, match=r"SignTransform: in_keys \['x'\] do not exist"):
        TransformedEnv(CountingEnv(), SignTransform(["x"]))


def test_a_sign_that_the_simulator_does_not_take_is_refused() -> None:
    env = Takes(Bounded(-0.5, 0.5, shape=(1,)))
    with pytest.raises(TransformError, match="which does not include all signs"):
        TransformedEnv(env, SignTransform(in_keys_inv=["action"]))

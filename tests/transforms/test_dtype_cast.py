"""DTypeCastTransform: numbers of another type for the user, and back for the simulator."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, DoubleEnv
from envcli.transforms.dtype_cast import DTypeCastTransform


class TestFloatsAsDoubles(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), DTypeCastTransform("float32", "float64"))


class TestOneNamedEntry(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(DoubleEnv(), DTypeCastTransform(torch.float64, torch.float16, ["observation"], ["half"]))


def test_everything_of_the_type_is_found() -> None:
    env = TransformedEnv(DoubleEnv(4), DTypeCastTransform(torch.float64, torch.float32))
    assert env.transform.in_keys == ["observation", "reward"]
    assert env.transform.in_keys_inv == ["action"]
    data = env.rollout(4)
    for key in ("observation", "action", ("next", "observation"), ("next", "reward")):
        assert data[key].dtype == torch.float32
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3, 4]
    assert torch.equal(data["next", "reward"], data["action"])


def test_the_simulator_gets_its_own_type() -> None:
    class Checks(DoubleEnv):
        def _step(self, tensordict):  # type: ignore[no-untyped-def]  # passes on
            assert tensordict["action"].dtype == torch.float64
            return super()._step(tensordict)

    env = TransformedEnv(Checks(), DTypeCastTransform("float64", "float32"))
    env.rollout(2)
    td = env.step(env.reset().set("action", torch.tensor([0.1])))
    assert td["action"].dtype == torch.float32
    assert td["next", "reward"] == torch.tensor([0.1])


def test_named_entries_only_and_no_action() -> None:
    env = TransformedEnv(DoubleEnv(), DTypeCastTransform("float64", "float32", ["observation"]))
    data = env.rollout(2)
    assert data["observation"].dtype == torch.float32
    assert data["next", "reward"].dtype == data["action"].dtype == torch.float64


def test_beside_under_another_name() -> None:
    env = TransformedEnv(DoubleEnv(), DTypeCastTransform("float64", "float32", ["observation"], ["single"]))
    data = env.rollout(3)
    assert data["observation"].dtype == torch.float64
    assert torch.equal(data["single"], data["observation"].float())
    assert torch.equal(data["next", "single"], data["next", "observation"].float())


def test_an_action_under_another_name() -> None:
    cast = DTypeCastTransform(
        "float64", "float32", in_keys_inv=["action"], out_keys_inv=["move"], in_keys=["observation"]
    )
    env = TransformedEnv(DoubleEnv(), cast)
    assert env.action_keys == ["move"]
    td = env.step(env.reset().set("move", torch.tensor([0.5])))
    assert td["next", "reward"] == 0.5


def test_bounds_go_along() -> None:
    env = TransformedEnv(DoubleEnv(), DTypeCastTransform("float64", "float32"))
    assert env.action_spec == Bounded(-1, 1, shape=[1], dtype=torch.float32)
    assert env.observation_spec["observation"] == Bounded(0, 1e6, shape=[1], dtype=torch.float32)


def test_what_cannot_be() -> None:
    with pytest.raises(TransformError, match=r"casts torch.float64, but was given an entry of torch.float32"):
        TransformedEnv(CountingEnv(), DTypeCastTransform("float64", "float32", ["observation"]))
    with pytest.raises(
        ConfigError, match="dtype_out: expected a dtype of torch such as float32 or uint8, found 'float33'"
    ):
        DTypeCastTransform("float64", "float33")
    with pytest.raises(ConfigError, match=r"dtype_in: .* found 'nn'"):
        DTypeCastTransform("nn", "float32")


def test_names_of_types() -> None:
    assert DTypeCastTransform("torch.float64", torch.float32).dtype_in is torch.float64


def test_a_type_that_numpy_lacks() -> None:
    plain = GymEnv("Pendulum-v1")
    plain.set_seed(0)
    env = TransformedEnv(GymEnv("Pendulum-v1"), DTypeCastTransform("float32", "bfloat16"))
    env.set_seed(0)
    shown = env.reset()["observation"]
    assert shown.dtype == torch.bfloat16
    assert (shown == plain.reset()["observation"].bfloat16()).all()
    rollout = env.rollout(5)
    assert rollout["next", "observation"].float().abs().sum() > 0
    action = torch.tensor([1.5], dtype=torch.bfloat16)
    assert env.step(env.reset().set("action", action))["next", "reward"].dtype == torch.bfloat16
    with pytest.raises(ActionError, match="found"):
        env.step(env.reset().set("action", action * 2))


def test_outside_an_env_everything_is_cast() -> None:
    cast = DTypeCastTransform(torch.float64, torch.float32)
    given = TensorDict(
        {"x": torch.ones(2).double(), "n": torch.ones(2).int(), "next": {"x": torch.ones(2).double()}}, [2]
    )
    found = cast(given)
    assert found["x"].dtype == found["next", "x"].dtype == torch.float32
    assert found["n"].dtype == torch.int32
    assert cast.inv(found)["x"].dtype == torch.float64
    assert found["x"].dtype == torch.float32


def test_the_way_back_leaves_out_what_is_missing() -> None:
    cast = DTypeCastTransform("float64", "float32", in_keys=[], in_keys_inv=["action"])
    assert set(cast.inv(TensorDict({"x": torch.ones(2)}, [2])).keys()) == {"x"}

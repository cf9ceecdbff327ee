"""UnaryTransform: a function of one value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.make import make_env
from envcli.specs import Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.unary import UnaryTransform


def doubled(value: torch.Tensor) -> torch.Tensor:
    return value * 2


def halved(value: torch.Tensor) -> torch.Tensor:
    return value / 2


def acting(**keys: Any) -> UnaryTransform:
    return UnaryTransform(["observation"], ["double"], fn=doubled, **keys)


class TestShown(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), acting())


class TestInPlaceOfIt(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(NestedEnv(), UnaryTransform([("agent", "observation")], ["observation"], fn=doubled))


class TestOfAState(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(batch_size=[2]), UnaryTransform(["position"], ["far"], fn=torch.square))


def test_it_shows_the_function() -> None:
    env = TransformedEnv(CountingEnv(), UnaryTransform(["observation", "reward"], ["far", "reward"], fn=lambda x: -x))
    data = env.rollout(3)
    assert torch.equal(data["far"], -data["observation"])
    assert torch.equal(data["next", "far"], -data["next", "observation"])
    assert torch.equal(data["next", "reward"], -data["action"]), "the toy pays the action"
    assert env.observation_spec["far"] == Unbounded([1])


def test_another_shape_and_dtype() -> None:
    env = TransformedEnv(CountingEnv(9, [2]), UnaryTransform(["observation"], ["seen"], fn=lambda x: x[..., 0] > 2))
    assert env.observation_spec["seen"] == Unbounded([2], dtype=torch.bool)
    assert env.rollout(4)["next", "seen"].tolist() == [[False, False, True, True]] * 2


@pytest.mark.parametrize("out_key", ["action", "twice"])
def test_the_way_back(out_key: str) -> None:
    """The toy pays the action that reaches it."""
    keys = {"in_keys_inv": ["action"], "out_keys_inv": [out_key], "inv_fn": halved}
    env = TransformedEnv(CountingEnv(), acting(**keys))
    assert env.action_keys == [out_key], "the user gives the one, and not both"
    assert env.full_action_spec[out_key] == Unbounded([1])
    td = env.step(env.reset().set(out_key, torch.ones(1)))
    assert td["next", "reward"] == 0.5
    assert td[out_key] == 1, "the user's own stays"


def test_without_an_inverse_the_function_itself() -> None:
    td = UnaryTransform([], [], ["a"], ["b"], fn=torch.neg).inv(TensorDict(b=torch.ones(2)))
    assert td["a"].tolist() == [-1, -1]
    assert td["b"].tolist() == [1, 1]


def test_on_a_rollout_and_on_any_tensordict() -> None:
    data = acting()(CountingEnv().rollout(3))
    assert torch.equal(data["next", "double"], data["next", "observation"] * 2)
    assert acting()(TensorDict(other=torch.ones(1))).keys() == {"other"}


def make_doubled() -> Env:
    return TransformedEnv(CountingEnv(), UnaryTransform(["observation"], ["double"], fn=lambda x: x * 2))


def test_in_workers() -> None:
    with ParallelEnv(2, make_doubled) as env, SerialEnv(2, make_doubled) as serial:
        assert torch.equal(env.rollout(3)["double"], serial.rollout(3)["double"])


def test_a_name_from_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unary_rules.py").write_text("def halved(value):\n    return value / 2\n")
    monkeypatch.chdir(tmp_path)
    words = [f"transforms.unary.{key}=[observation]" for key in ("in_keys", "out_keys")]
    words += ["env=pendulum", "transforms=unary", "transforms.unary.fn=unary_rules:halved", "seed=0"]
    with make_env(*words, "allow_imports=true") as env, make_env("env=pendulum", "seed=0") as plain:
        assert torch.equal(env.reset()["observation"], plain.reset()["observation"] / 2)


def test_misuse_is_named() -> None:
    with pytest.raises(TransformError, match=r"in_keys \['a'\] and out_keys \['b', 'c'\] must have the same length"):
        UnaryTransform(["a"], ["b", "c"], fn=doubled)
    with pytest.raises(ConfigError, match=r"^inv_fn: expected a function that takes a tensor, found 3"):
        acting(inv_fn=3)
    with pytest.raises(TransformError, match=r"fn gave a str, expected a tensor. Entries of an env are tensors here"):
        TransformedEnv(CountingEnv(), UnaryTransform(["observation"], ["text"], fn=lambda x: str(x)))  # type: ignore
    with pytest.raises(TransformError, match="fn is to take a NonTensorData, expected a tensor"):
        acting()(TensorDict(observation="text"))
    with pytest.raises(TransformError, match=r"fn makes \[\] of 'observation' \[2, 1\], expected a value for each env"):
        TransformedEnv(CountingEnv(9, [2]), UnaryTransform(["observation"], ["sum"], fn=torch.sum))
    with pytest.raises(TransformError, match="do not exist"):
        TransformedEnv(CountingEnv(), UnaryTransform(["pixels"], ["sum"], fn=torch.sum))

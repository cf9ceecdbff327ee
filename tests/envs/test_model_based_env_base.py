"""Envs whose steps a network imagines."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.model_based_env_base import ModelBasedEnvBase
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing import EnvContract, check_env_specs
from envcli.testing.toys import CountingEnv
from envcli.transforms.step_counter import StepCounter


def summed(place: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    return place + action


def world() -> TensorDictSequential:
    move = TensorDictModule(summed, in_keys=["place", "action"], out_keys=["place"])
    worth = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(worth.weight, 2)
    return TensorDictSequential(move, TensorDictModule(worth, in_keys=["place"], out_keys=["reward"]))


class Imagined(ModelBasedEnvBase):
    def __init__(self, **options: Any) -> None:
        super().__init__(world(), **options)
        shape = self.batch_size
        self.observation_spec = self.state_spec = Composite(place=Unbounded([*shape, 1]), shape=shape)
        self.action_spec = Bounded(-1, 1, [*shape, 1])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        lead = self.batch_size if tensordict is None else tensordict.batch_size
        return TensorDict({"place": torch.zeros(*lead, 1)}, lead, device=self.device)


class TestImagined(EnvContract):
    def make_env(self) -> Env:
        return Imagined()


class TestImaginedBehindATransform(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Imagined(), StepCounter(7))


def ahead(tensordict: TensorDictBase) -> TensorDictBase:
    return tensordict.set("action", torch.ones(*tensordict.batch_size, 1))


@pytest.mark.parametrize("batch_size", [[], [2]])
def test_the_model_makes_the_steps(batch_size: list[int]) -> None:
    env = Imagined(batch_size=batch_size)
    data = env.rollout(3, ahead)
    assert data["next", "place"].reshape(-1, 3)[0].tolist() == [1, 2, 3]
    assert torch.equal(data["next", "reward"], 2 * data["next", "place"])
    assert not data["next", "done"].any()
    check_env_specs(env)


def test_gradients_flow_to_the_model_from_moments_of_any_batch_size() -> None:
    env = Imagined()
    assert not env.batch_locked
    moments = TensorDict({"place": torch.ones(4, 1)}, [4], device="cpu")
    data = env.rollout(2, ahead, auto_reset=False, tensordict=moments)
    assert data["next", "place"].squeeze(-1).tolist() == [[2, 3]] * 4
    data["next", "reward"].sum().backward()
    assert [p.grad for p in env.parameters()] == [torch.tensor([[20.0]])]


def test_a_flag_that_the_model_does_not_write_is_false() -> None:
    env = Imagined()
    td = ahead(env.reset())
    td["done"] = td["terminated"] = torch.tensor([True])
    assert not env.step(td)["next", "done"].any()


def test_a_functional_model_is_given_its_parameters() -> None:
    given: dict[str, Any] = {}

    def model(tensordict: TensorDictBase, params: Any, buffers: Any) -> TensorDictBase:
        given.update(params=params, buffers=buffers)
        return tensordict.set("reward", tensordict["action"] * params)

    env = Imagined()
    env.world_model, env.world_model_params = model, 3.0  # type: ignore[assignment]  # a function is a model too
    assert env.step(ahead(env.reset()))["next", "reward"] == 3
    assert given == {"params": 3.0, "buffers": None}


def test_the_specs_are_those_of_a_real_env() -> None:
    env, real = Imagined(), CountingEnv()
    env.set_specs_from_env(real)
    assert env.observation_keys == real.observation_keys
    assert env.action_spec == real.action_spec
    assert env.full_done_spec == real.full_done_spec
    env.observation_spec = Composite()
    assert not real.observation_spec.is_empty()

"""What a user's env has in common with a torch module."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env_base import EnvBase
from envcli.errors import EnvError
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing import check_env_specs
from envcli.transforms.step_counter import StepCounter


class Learnt(EnvBase):
    """A world of one layer, which counts its steps in a buffer, as TorchRL's mock envs do."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(observation=Unbounded([1]))
        self.action_spec = Bounded(-1, 1, shape=[1])
        self.world = torch.nn.Linear(1, 1)
        self.gain = torch.nn.Parameter(torch.ones(1))
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("limit", torch.tensor([5]), persistent=False)

    def _reset(self, tensordict: TensorDictBase | None, **options: object) -> TensorDictBase:
        self.count[:] = 0
        return TensorDict({"observation": torch.zeros(1)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.count += 1
        moved = self.gain * self.world(tensordict["action"]).detach()
        return TensorDict({"observation": moved, "reward": moved.clone(), "done": self.count >= self.limit})

    def _set_seed(self, seed: int | None) -> None: ...


def test_an_env_shows_its_parameters_and_buffers() -> None:
    env = Learnt()
    assert [name for name, _ in env.named_parameters()] == ["gain", "world.weight", "world.bias"]
    assert [name for name, _ in env.named_buffers()] == ["count", "limit"]
    assert {id(p) for p in env.parameters()} == {id(env.gain), *map(id, env.world.parameters())}
    assert list(env.parameters(recurse=False)) == [env.gain]
    assert [buffer.tolist() for buffer in env.buffers()] == [[0], [5]]
    check_env_specs(env)


def test_a_function_is_applied_to_its_networks() -> None:
    env = TransformedEnv(Learnt(), StepCounter(3))
    reached: list[object] = []
    assert env.apply(reached.append) is env
    assert reached[:2] == [env.base_env.world, env.base_env]
    assert {id(part) for part in env.modules()} == {id(part) for part in reached}


def test_a_buffer_is_an_attribute() -> None:
    env = Learnt()
    assert len(env.rollout(10)) == 5
    assert env.count.tolist() == [5]
    env.count = torch.tensor([3])
    assert env.state_dict()["count"].tolist() == [3]
    env.register_buffer("count", torch.tensor([1]))
    assert dict(env.named_buffers())["count"].tolist() == [1]
    with pytest.raises(KeyError, match="register_buffer: Learnt has something by the name 'world'"):
        env.register_buffer("world", torch.zeros(1))


def test_what_an_env_knows_can_be_put_into_another() -> None:
    env, other = Learnt(), Learnt()
    env.rollout(2)
    assert set(env.state_dict()) == {"count", "gain", "world.weight", "world.bias"}
    other.load_state_dict(env.state_dict())
    assert other.count.tolist() == [2]
    assert torch.equal(other.world.weight, env.world.weight)
    with pytest.raises(EnvError, match=r"Learnt: .*Missing key"):
        other.load_state_dict({"count": torch.zeros(1)})
    other.load_state_dict({"count": torch.zeros(1)}, strict=False)
    assert other.count.tolist() == [0]


def test_parts_are_registered_by_name_too() -> None:
    env = Learnt()
    env.register_module("second", torch.nn.Linear(1, 1, bias=False))
    env.add_module("third", torch.nn.Dropout())
    env.register_parameter("offset", torch.nn.Parameter(torch.zeros(1)))
    assert {"second.weight", "offset"} < set(env.state_dict())
    env.eval()
    assert not env.third.training
    assert env.train() is env
    assert env.third.training


def test_buffers_move_with_the_env() -> None:
    env = Learnt()
    assert env.to("cpu") is env
    env.to("meta")
    assert {tensor.device.type for tensor in (env.count, env.limit, env.gain, env.world.weight)} == {"meta"}


def test_a_chain_and_a_batch_show_what_their_envs_know() -> None:
    env = TransformedEnv(Learnt(), StepCounter())
    assert len(list(env.parameters())) == 3
    assert set(env.state_dict()["base_env"]) == {"count", "gain", "world.weight", "world.bias"}
    with SerialEnv(2, Learnt) as envs:
        envs.rollout(3)
        assert envs.state_dict()["worker1"]["count"].tolist() == [3]

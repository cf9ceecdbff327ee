"""ModuleTransform: a TensorDictModule as a transform."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.module_transform import ModuleTransform


def module(function: Any, in_keys: Any = ("observation",), out_keys: Any = ("double",)) -> TensorDictModule:
    return TensorDictModule(function, in_keys=list(in_keys), out_keys=list(out_keys))


def twice(value: torch.Tensor) -> torch.Tensor:
    return torch.cat([value, value], -1)


def with_latent(spec: Composite) -> Composite:
    return Composite(latent=Bounded(0, 1, [*spec.shape, 2]), shape=spec.shape)


class TestBeside(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 3], [2]), ModuleTransform(module=module(twice)))


class TestInPlace(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(4), ModuleTransform(module=module(twice, out_keys=["observation"])))


class TestTowardsTheSimulator(EnvContract):
    def make_env(self) -> Env:
        act = module(lambda latent, position: latent.mean(-1, True) + 0 * position, ["latent", "position"], ["action"])
        transform = ModuleTransform(module=act, inverse=True, action_spec_transform=with_latent)
        return TransformedEnv(StatelessEnv(2.5, [2]), transform)


def test_each_reset_and_each_step() -> None:
    env = TransformedEnv(CountingEnv([2, 3], [2]), ModuleTransform(module=module(lambda x: x * 2)))
    assert env.observation_spec["double"] == Unbounded([2, 1])
    data = env.rollout(4, break_when_any_done=False)
    assert torch.equal(data["double"], data["observation"] * 2)
    assert torch.equal(data["next", "double"], data["next", "observation"] * 2)


def test_a_rollout_alone_is_as_in_the_env() -> None:
    env = TransformedEnv(CountingEnv(3), ModuleTransform(module=module(twice, ["reward"], ["reward"])))
    data = env.base_env.rollout(3)
    paid = data["next", "reward"].clone()
    assert torch.equal(env.transform(data)["next", "reward"], twice(paid))


def test_rewards_too() -> None:
    env = TransformedEnv(CountingEnv(), ModuleTransform(module=module(twice, ["reward"], ["reward"])))
    assert env.reward_spec == Unbounded([2])
    assert env.observation_keys == ["observation", "start"]
    assert env.rollout(3)["next", "reward"].shape == (3, 2)


def test_what_is_said_of_a_spec_counts() -> None:
    said = Composite(observation=Bounded(0, 9, [1]))
    for change in (said, Bounded(0, 9, [1]), lambda spec: said):
        env = TransformedEnv(
            CountingEnv(),
            ModuleTransform(module=module(torch.sin, out_keys=["observation"]), observation_spec_transform=change),
        )
        assert env.observation_spec == said


def test_towards_the_simulator_the_user_keeps_what_the_user_gave() -> None:
    halved = module(lambda x: x / 2, ["action"], ["action"])
    env = TransformedEnv(CountingEnv(), ModuleTransform(module=halved, inverse=True))
    data = env.rollout(3, lambda td: td.set("action", torch.tensor([1.0])))
    assert data["action"].squeeze(-1).tolist() == [1, 1, 1]
    assert data["next", "reward"].squeeze(-1).tolist() == [0.5, 0.5, 0.5]
    assert env.step(env.reset().set("action", torch.tensor([1.0])))["next", "reward"] == 0.5


def test_alone() -> None:
    td = TensorDict({"observation": torch.ones(4, 5, 1)}, batch_size=[4, 5])
    assert ModuleTransform(module=module(twice))(td)["double"].shape == (4, 5, 2)
    back = ModuleTransform(module=module(twice), inverse=True)
    assert "double" not in back(TensorDict({"observation": torch.ones(1)}))
    given = TensorDict({"observation": torch.ones(1)})
    assert back.inv(given)["double"].shape == (2,)
    assert "double" not in given


def test_graphs_only_where_they_are_wanted() -> None:
    for quiet in (False, True):
        transform = ModuleTransform(module=module(torch.nn.Linear(1, 1)), no_grad=quiet, device="cpu")
        made = transform(TensorDict({"observation": torch.ones(1)}))["double"]
        assert made.requires_grad is not quiet
    assert set(transform.state_dict()) == {"module.module.weight", "module.module.bias"}
    env = TransformedEnv(CountingEnv(), ModuleTransform(module=module(torch.nn.Linear(1, 1))))
    assert not env.rollout(2)["double"].requires_grad


def test_a_factory_and_a_file(tmp_path: Path) -> None:
    made = ModuleTransform(module_factory=lambda: module(twice))
    assert (made.in_keys, made.out_keys) == (["observation"], ["double"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have everybody export
        torch.jit.script(torch.nn.Linear(1, 3)).save(str(tmp_path / "net.pt"))  # type: ignore[no-untyped-call]
        loaded = ModuleTransform(module=str(tmp_path / "net.pt"), in_keys=["observation"], out_keys=["z"], no_grad=True)
    assert TransformedEnv(CountingEnv(), loaded).rollout(2)["z"].shape == (2, 3)
    with pytest.raises(ConfigError, match=r"module: no file .*lost.pt"):
        ModuleTransform(module=str(tmp_path / "lost.pt"), in_keys=["a"], out_keys=["b"])
    with pytest.raises(ConfigError, match=r"in_keys, out_keys: a saved network needs both"):
        ModuleTransform(module=str(tmp_path / "net.pt"))


def test_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"exactly one of module and module_factory"):
        ModuleTransform()
    with pytest.raises(ConfigError, match=r"expected a TensorDictModule, found a Linear. Write TensorDictModule"):
        ModuleTransform(module=torch.nn.Linear(1, 1))
    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist. The env has: observation, start"):
        TransformedEnv(CountingEnv(), ModuleTransform(module=module(twice, ["pixels"])))
    with pytest.raises(TransformError, match=r"does not take {'observation': \[1\]}: mat1 and mat2"):
        TransformedEnv(CountingEnv(), ModuleTransform(module=module(torch.nn.Linear(3, 1))))
    with pytest.raises(TransformError, match=r"in_keys \['latent'\] do not exist.* action_spec_transform"):
        TransformedEnv(CountingEnv(), ModuleTransform(module=module(twice, ["latent"], ["action"]), inverse=True))
    with pytest.raises(
        TransformError, match=r"shows 'position' as torch.float32 .* Show it under another name: out_keys"
    ):
        TransformedEnv(StatelessEnv(), ModuleTransform(module=module(twice, ["position"], ["position"])))

"""RemoveEmptySpecs: nothing is left of a group that holds nothing."""

from __future__ import annotations

import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.specs import Composite
from envcli.testing import check_env_specs
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.remove_empty_specs import RemoveEmptySpecs


def test_specs_lose_what_holds_nothing() -> None:
    base = CountingEnv()
    base.observation_spec = Composite(dict(base.observation_spec.items()), agents=Composite(inner=Composite()))
    env = TransformedEnv(base, RemoveEmptySpecs())
    assert "agents" in base.observation_spec
    assert "agents" not in env.observation_spec
    assert set(env.observation_spec.keys()) == set(base.observation_spec.keys()) - {"agents"}
    check_env_specs(env)
    assert env.rollout(2)["next", "observation"].flatten().tolist() == [1, 2]
    check_env_specs(TransformedEnv(CountingEnv(), Compose(ExcludeTransform("start"), RemoveEmptySpecs())))


def test_on_its_own() -> None:
    data = TensorDict({"a": {}, "b": {"c": {}, "d": torch.ones(1)}, "next": {"a": {"c": {}}}})
    RemoveEmptySpecs()(data)
    assert set(data.keys(True)) == {"b", ("b", "d")}

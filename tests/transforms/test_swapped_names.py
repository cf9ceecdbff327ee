"""Inverse names that change places: what the user calls ``a`` is the simulator's ``b``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env_base import EnvBase
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing import check_env_specs
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.rename import RenameTransform
from envcli.transforms.sign import SignTransform
from envcli.transforms.transform import Transform
from envcli.transforms.unsqueeze import UnsqueezeTransform

NAMES: dict[str, Any] = {"in_keys_inv": ["a", "b"], "out_keys_inv": ["b", "a"]}


class TwoActions(EnvBase):
    """Shows what it was given last."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(shown=Unbounded(5))
        self.full_action_spec = Composite(a=Bounded(-1, 1, shape=(2,)), b=Bounded(-1, 1, shape=(3,)))
        self.reward_spec = Unbounded(1)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return TensorDict({"shown": torch.zeros(5)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        given = torch.cat([tensordict["a"], tensordict["b"]])
        return TensorDict({"shown": given, "reward": torch.zeros(1), "done": torch.zeros(1, dtype=torch.bool)})

    def _set_seed(self, seed: int | None) -> None:
        return None


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: UnsqueezeTransform(-1, in_keys=[], **NAMES), (3, 1)),
        (lambda: DTypeCastTransform(torch.float32, torch.float64, in_keys=[], **NAMES), (3,)),
        (lambda: RenameTransform([], [], **NAMES), (3,)),
        (lambda: SignTransform(in_keys=[], **NAMES), (3,)),
    ],
)
def test_each_action_arrives_under_its_name(make: Callable[[], Transform], shape: tuple[int, ...]) -> None:
    env = TransformedEnv(TwoActions(), make())
    assert env.full_action_spec["a"].shape == shape
    check_env_specs(env, seed=0)
    td = env.reset()
    for name in ("a", "b"):
        td[name] = torch.full_like(env.full_action_spec[name].zero(), 1.0 if name == "a" else -1.0)
    assert env.step(td)["next", "shown"].tolist() == [-1, -1, 1, 1, 1]

"""PermuteTransform."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import TransformError
from envcli.specs import Bounded, Composite
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.permute import PermuteTransform
from tests.transforms.image_toy import FramesEnv, frame

ORDER = (-1, -3, -2)


class Grid(EnvBase):
    """Takes an action ``[2, 3]`` with bounds of its own for each number, and shows it."""

    def __init__(self) -> None:
        super().__init__()
        high = torch.arange(1.0, 7.0).view(2, 3)
        self.action_spec = Bounded(-high, high, shape=(2, 3))
        self.observation_spec = Composite(seen=Bounded(-high, high, shape=(2, 3)))

    def _reset(self, tensordict: TensorDictBase | None, **options: object) -> TensorDictBase:
        return TensorDict(seen=torch.zeros(2, 3))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        done = torch.zeros(1, dtype=torch.bool)
        return TensorDict(seen=tensordict["action"].clone(), reward=torch.zeros(1), terminated=done)

    def _set_seed(self, seed: int | None) -> None:
        pass  # nothing is drawn


class TestOfFrames(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([3, 4], [2]), PermuteTransform(ORDER, ["pixels"]))


class TestOfActions(EnvContract):
    def make_env(self) -> Env:
        chain = PermuteTransform((-1, -2), ["seen"], in_keys_inv=["action"], out_keys_inv=["turned"])
        return TransformedEnv(Grid(), chain)


def test_there_and_back_by_hand() -> None:
    env = TransformedEnv(Grid(), PermuteTransform((-1, -2), in_keys_inv=["action"]))
    action = torch.arange(6.0).view(3, 2) / 6
    assert torch.equal(env.action_spec.high, torch.arange(1.0, 7.0).view(2, 3).T)
    assert torch.equal(env.step(env.reset().set("action", action))["next", "seen"], action.T)


def test_three_dimensions_are_not_their_own_inverse() -> None:
    turn = PermuteTransform(ORDER, ["x"], in_keys_inv=["x"])
    value = torch.rand(7, 2, 3, 4)
    assert torch.equal(turn._apply_transform(value), value.permute(0, 3, 1, 2))
    assert torch.equal(turn._inv_apply_transform(turn._apply_transform(value)), value)
    td = TensorDict(x=value, batch_size=[7])
    assert torch.equal(turn.inv(turn(td))["x"], value)


def test_in_an_env_and_on_a_rollout() -> None:
    env = TransformedEnv(FramesEnv(), PermuteTransform(ORDER, ["pixels"]))
    rollout = env.rollout(3)
    assert torch.equal(rollout["next", "pixels"][1], frame(2, 12, 10).permute(2, 0, 1))
    replayed = PermuteTransform(ORDER, ["pixels"])(FramesEnv().rollout(3))
    assert torch.equal(replayed["pixels"], rollout["pixels"])
    spec = env.observation_spec["pixels"]
    assert isinstance(spec, Bounded)
    assert spec.shape == (3, 12, 10)


def test_misfits_are_named() -> None:
    for wrong in ((-1, -3), (0, 1), (-1, -1)):
        with pytest.raises(TransformError, match=r"dims: expected a permutation of \[-2, -1\]"):
            PermuteTransform(wrong)
    with pytest.raises(TransformError, match=r"'observation', a \[1\].*which has fewer"):
        TransformedEnv(CountingEnv(), PermuteTransform(ORDER, ["observation"]))
    with pytest.raises(TransformError, match="would change the batch dimensions"):
        TransformedEnv(CountingEnv([3, 4], [2]), PermuteTransform((-1, -2), ["observation"]))


def test_a_batch_as_long_as_a_value_is_not_mixed_up_with_it() -> None:
    with pytest.raises(TransformError, match="would change the batch dimensions"):
        TransformedEnv(CountingEnv(5, [1]), PermuteTransform([-1, -2], ["observation"]))

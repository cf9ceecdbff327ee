"""FlattenAction: actions as one row of numbers."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import TransformError
from envcli.specs import Bounded, OneHot
from envcli.transforms.flatten_action import FlattenAction
from tests.transforms.test_action_scaling import Takes

GRID = Bounded(-1, 1, shape=[3, 5])


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_simulator_gets_its_shape(batch: tuple[int, ...]) -> None:
    env = TransformedEnv(Takes(GRID, batch), FlattenAction())
    assert env.action_spec == Bounded(-1, 1, shape=[*batch, 15])
    data = env.rollout(4)
    assert data["action"].shape == (*batch, 4, 15)
    taken = torch.stack(env.base_env.taken, len(batch))
    assert torch.equal(taken, data["action"].reshape(*batch, 4, 3, 5))
    action = env.rand_action()["action"]
    env.step(env.reset().set("action", action))
    assert torch.equal(env.base_env.taken[-1], action.reshape(*batch, 3, 5))


@pytest.mark.parametrize("batch", [(), (2,)])
def test_alone_it_is_the_way_back(batch: tuple[int, ...]) -> None:
    env = TransformedEnv(Takes(GRID, batch), FlattenAction())
    data = env.rollout(4)
    simulators = TensorDict({"action": torch.stack(env.base_env.taken, len(batch))}, batch_size=data.batch_size)
    assert torch.equal(env.transform(simulators.clone())["action"], data["action"])
    assert torch.equal(env.transform.inv(data)["action"], simulators["action"])


def test_alone_with_a_shape_of_its_own() -> None:
    transform = FlattenAction(action_shape=[3, 5])
    assert transform(TensorDict({"action": torch.zeros(7, 3, 5)}))["action"].shape == (7, 15)
    assert transform.inv(TensorDict({"action": torch.zeros(7, 15)}))["action"].shape == (7, 3, 5)
    with pytest.raises(TransformError, match=r"the shape of 'action' is unknown. Give action_shape"):
        FlattenAction().inv(TensorDict({"action": torch.zeros(15)}))


def test_dimensions_in_the_middle() -> None:
    env = TransformedEnv(Takes(Bounded(-1, 1, shape=[2, 3, 5])), FlattenAction(-3, -2))
    assert env.action_spec.shape == (6, 5)
    data = env.rollout(2)
    assert torch.equal(torch.stack(env.base_env.taken), data["action"].reshape(2, 2, 3, 5))


def test_dimensions_from_the_front() -> None:
    env = TransformedEnv(Takes(GRID, (2,)), FlattenAction(1, 2, allow_positive_dim=True))
    assert env.action_spec.shape == (2, 15)
    assert env.rollout(3)["action"].shape == (2, 3, 15)
    with pytest.raises(TransformError, match=r"To count from the front: allow_positive_dim=True"):
        FlattenAction(0, 1)


def test_another_name() -> None:
    env = TransformedEnv(Takes(GRID), FlattenAction(in_keys_inv=["action"], out_keys_inv=["row"]))
    assert env.action_keys == ["row"]
    data = env.rollout(2)
    assert torch.equal(torch.stack(env.base_env.taken), data["row"].reshape(2, 3, 5))


def test_what_does_not_fit() -> None:
    with pytest.raises(TransformError, match=r"first_dim -1 comes after last_dim -2"):
        FlattenAction(-1, -2)
    with pytest.raises(
        TransformError, match=r"cannot flatten dimensions -3 to -1 of 'action', \[2, 3, 5\], 1 of which"
    ):
        TransformedEnv(Takes(GRID, (2,)), FlattenAction(-3))
    with pytest.raises(TransformError, match=r"cannot flatten dimensions -2 to -1 of 'action'"):
        TransformedEnv(Takes(Bounded(-1, 1, shape=[3])), FlattenAction())
    with pytest.raises(TransformError, match=r"action_shape is \[5, 3\], but the env's action is \[3, 5\]"):
        TransformedEnv(Takes(GRID), FlattenAction(action_shape=[5, 3]))
    with pytest.raises(TransformError, match=r"FlattenAction: 'action': OneHot of shape"):
        TransformedEnv(Takes(OneHot(4, (3, 4))), FlattenAction())

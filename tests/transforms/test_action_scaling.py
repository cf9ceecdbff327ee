"""ActionScaling: actions in [-1, 1] for any bounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Categorical, TensorSpec, Unbounded
from envcli.testing import check_env_specs
from envcli.testing.toys import CountingEnv, DoubleEnv, NestedEnv
from envcli.transforms.action_scaling import ActionScaling
from envcli.transforms.compose import Compose
from envcli.transforms.rename import RenameTransform


class Takes(CountingEnv):
    """Takes any action, remembers it, and pays nothing."""

    def __init__(self, action: TensorSpec, batch: tuple[int, ...] = ()) -> None:
        super().__init__(99, batch)
        self.action_spec = action.expand([*batch, *action.shape])
        self.taken: list[torch.Tensor] = []

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.taken.append(tensordict["action"].clone())
        return super()._step(tensordict.clone().set("action", torch.zeros(self._shape)))


LOPSIDED = Bounded(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 10.0]))


def played(env: TransformedEnv, *actions: Any) -> list[Any]:
    """What the simulator got for ``actions``, in a rollout; the same as by single steps."""
    given = [torch.tensor(action) for action in actions]
    left = iter(given)
    env.rollout(len(given), lambda td: td.set(env.action_key, next(left)))
    for action in given:
        env.step(env.reset().set(env.action_key, action))
    half = len(env.base_env.taken) // 2
    for rolled, stepped in zip(env.base_env.taken[:half], env.base_env.taken[half:], strict=True):
        assert torch.equal(rolled, stepped)
    return [action.tolist() for action in env.base_env.taken[:half]]


@pytest.mark.parametrize("normal", [True, False])
def test_it_keeps_every_promise(normal: bool) -> None:
    for env, key in (
        (CountingEnv(3), "action"),
        (DoubleEnv([2, 3], [2]), "action"),
        (NestedEnv(3), ("agent", "action")),
        (GymEnv("Pendulum-v1"), "action"),
    ):
        check_env_specs(TransformedEnv(env, ActionScaling([key], ["move"], standard_normal=normal)))


def test_the_bounds_are_reached_and_not_exceeded() -> None:
    env = TransformedEnv(Takes(LOPSIDED), ActionScaling())
    assert env.action_spec == Bounded(-1, 1, shape=[2], dtype=torch.float32)
    assert played(env, [-1.0, -1.0], [0.0, 0.0], [1.0, 0.5]) == [[-1, 0], [0, 5], [1, 7.5]]
    odd = Bounded(torch.tensor([0.1]), torch.tensor([0.7]))
    env = TransformedEnv(Takes(odd), ActionScaling())
    for action in (torch.tensor([1.0]), torch.tensor([-1.0])):
        env.step(env.reset().set("action", action))
    assert all(odd.is_in(action) for action in env.base_env.taken)


def test_from_zero_to_one() -> None:
    env = TransformedEnv(Takes(LOPSIDED), ActionScaling(standard_normal=False))
    assert env.action_spec == Bounded(0, 1, shape=[2], dtype=torch.float32)
    assert played(env, [0.0, 0.0], [0.5, 0.25], [1.0, 1.0]) == [[-1, 0], [0, 2.5], [1, 10]]


def test_the_user_keeps_what_the_user_gave() -> None:
    data = TransformedEnv(Takes(LOPSIDED), ActionScaling()).rollout(5)
    assert data["action"].abs().max() <= 1


def test_each_env_of_a_batch() -> None:
    env = TransformedEnv(Takes(LOPSIDED, (3,)), ActionScaling())
    assert env.action_spec.shape == (3, 2)
    assert played(env, [[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]) == [[[-1, 0], [0, 5], [1, 10]]]


def test_another_name() -> None:
    env = TransformedEnv(Takes(LOPSIDED), ActionScaling(["action"], ["move"]))
    assert env.action_keys == ["move"]
    assert played(env, [0.0, 1.0]) == [[0, 10]]


def test_two_on_the_way_in_are_applied_from_the_user_inwards() -> None:
    chain = Compose(
        ActionScaling(loc=1.0, scale=2.0),
        ActionScaling(loc=0.0, scale=10.0),
        RenameTransform([], [], ["action"], ["a"]),
    )
    env = TransformedEnv(Takes(Unbounded([1])), chain)
    assert played(env, [0.5]) == [[11]], "0.5 * 10 = 5, then 5 * 2 + 1"


def test_given_numbers_move_the_bounds_along() -> None:
    env = TransformedEnv(Takes(LOPSIDED), ActionScaling(loc=[1.0, 1.0], scale=2.0))
    assert env.action_spec == Bounded(torch.tensor([-1.0, -0.5]), torch.tensor([0.0, 4.5]))
    free = TransformedEnv(Takes(Unbounded([2])), ActionScaling(loc=1.0, scale=2.0))
    assert free.action_spec == Unbounded([2])
    assert played(free, [1.5, -1.0]) == [[4, -1]]


def test_alone_on_any_leading_dimensions() -> None:
    transform = ActionScaling(loc=1.0, scale=2.0)
    td = TensorDict({"action": torch.full((4, 5, 1), 3.0)}, batch_size=[4, 5])
    assert torch.equal(transform(td)["action"], torch.ones(4, 5, 1))
    assert torch.equal(transform.inv(td)["action"], torch.full((4, 5, 1), 3.0))
    halves = ActionScaling(loc=1.0, scale=2.0, standard_normal=False)
    assert halves(TensorDict({"action": torch.tensor([3.0])}))["action"] == 1
    assert halves.inv(TensorDict({"action": torch.tensor([1.0])}))["action"] == 3


@pytest.mark.parametrize("batch", [(), (3,)])
def test_alone_it_is_the_inverse_of_what_it_does_in_the_env(batch: tuple[int, ...]) -> None:
    env = TransformedEnv(Takes(LOPSIDED, batch), ActionScaling())
    data = env.rollout(6)
    simulators = TensorDict({"action": torch.stack(env.base_env.taken, len(batch))}, batch_size=data.batch_size)
    assert torch.allclose(env.transform(simulators.clone())["action"], data["action"], atol=1e-6)
    assert torch.equal(env.transform.inv(data)["action"], simulators["action"])
    assert env.transform.initialized
    assert set(env.transform.state_dict()) == {"loc", "scale"}


def test_a_constant_element_becomes_zero() -> None:
    env = TransformedEnv(Takes(Bounded(2, 2, shape=[1])), ActionScaling())
    assert played(env, [0.3]) == [[2]]
    assert env.transform(TensorDict({"action": torch.tensor([2.0])}))["action"] == 0


def test_recorded_actions_only() -> None:
    env = TransformedEnv(Takes(LOPSIDED), ActionScaling([], loc=1.0, scale=2.0))
    assert env.action_spec == LOPSIDED
    assert env.transform(TensorDict({"action": torch.tensor([3.0])}))["action"] == 1


def test_statistics_of_a_data_set() -> None:
    assert ActionScaling.from_stats(low=-1.0, high=3.0)(TensorDict({"action": torch.tensor([3.0])}))["action"] == 1
    made = ActionScaling.from_stats(mean=[1.0, 2.0], std=[2.0, 0.0], in_keys_inv=["move"])
    assert made.in_keys_inv == ["move"]
    assert made.scale is not None
    assert made.scale.tolist() == pytest.approx([2, 1e-6])
    with pytest.raises(ConfigError, match=r"give mean and std, or low and high"):
        ActionScaling.from_stats(mean=1.0, high=2.0)


def test_what_does_not_fit() -> None:
    with pytest.raises(TransformError, match=r"expected one action"):
        ActionScaling(["a", "b"])
    with pytest.raises(ConfigError, match=r"no spec to take loc and scale from. Give both"):
        ActionScaling([])
    with pytest.raises(TransformError, match=r"loc and scale are not set yet"):
        ActionScaling()(TensorDict({"action": torch.ones(1)}))
    with pytest.raises(TransformError, match=r"needs finite bounds to scale to"):
        TransformedEnv(Takes(Unbounded([2])), ActionScaling())
    with pytest.raises(
        TransformError, match=r"scales floats between bounds, but the env takes Categorical torch.int64 \[1\]"
    ):
        TransformedEnv(Takes(Categorical(3, shape=[1])), ActionScaling())
    with pytest.raises(TransformError, match=r"no action 'torque'. The env takes: \['action'\]"):
        TransformedEnv(CountingEnv(), ActionScaling(["torque"]))


def test_denormalize_is_what_the_simulator_is_given() -> None:
    scaling = ActionScaling(loc=torch.tensor([1.0, -1.0]), scale=torch.tensor([2.0, 0.5]))
    scaled = torch.tensor([[1.0, -1.0], [0.0, 0.5]])
    assert scaling.denormalize(scaled).tolist() == [[3.0, -1.5], [1.0, -0.75]]
    assert torch.equal(scaling.denormalize(scaled), scaling.inv(TensorDict({"action": scaled}, [2]))["action"])

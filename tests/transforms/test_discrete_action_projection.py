"""DiscreteActionProjection: one action space for games with different numbers of actions."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, TransformError
from envcli.specs import Categorical, OneHot, TensorSpec
from envcli.testing import check_env_specs
from envcli.transforms.discrete_action_projection import DiscreteActionProjection
from tests.transforms.test_action_scaling import Takes, played


def test_it_keeps_every_promise() -> None:
    """With as many actions as the simulator has, as the others are drawn anew each time."""
    check_env_specs(TransformedEnv(GymEnv("CartPole-v1"), DiscreteActionProjection(2, 2)))


@pytest.mark.parametrize(("inner", "outer"), [(OneHot(3), OneHot(5)), (Categorical(3), Categorical(5))])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_it_keeps_what_the_simulator_has_and_draws_the_rest(
    inner: TensorSpec, outer: TensorSpec, batch: tuple[int, ...]
) -> None:
    env = TransformedEnv(Takes(inner, batch), DiscreteActionProjection(3, 5))
    assert env.action_spec == outer.expand([*batch, *outer.shape])
    data = env.rollout(300, break_when_any_done=False)
    given = env.action_spec.to_categorical(data["action"].movedim(len(batch), 0), safe=False)
    taken = inner.to_categorical(torch.stack(env.base_env.taken))
    assert torch.equal(given[given < 3], taken[given < 3])
    drawn = taken[given >= 3]
    assert set(drawn.flatten().tolist()) == {0, 1, 2}
    assert data["action"].dtype == inner.dtype


def test_by_hand() -> None:
    env = TransformedEnv(Takes(OneHot(2)), DiscreteActionProjection(2, 4))
    assert played(env, [True, False, False, False], [False, True, False, False]) == [[True, False], [False, True]]


def test_alone() -> None:
    transform = DiscreteActionProjection(2, 4)
    wide = transform(TensorDict({"action": torch.tensor([[0, 1], [1, 0]])}))["action"]
    assert wide.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert transform.inv(TensorDict({"action": wide}))["action"].tolist() == [[0, 1], [1, 0]]
    left = DiscreteActionProjection(2, 4, include_forward=False)
    assert left(TensorDict({"action": torch.tensor([0, 1])}))["action"].tolist() == [0, 1]


def test_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"expected 1 to max_actions, 2, found 4"):
        DiscreteActionProjection(4, 2)
    with pytest.raises(
        TransformError, match=r"to be a choice of 2, found OneHot of 3 \[3\]. Set num_actions_effective"
    ):
        TransformedEnv(Takes(OneHot(3)), DiscreteActionProjection(2, 4))
    with pytest.raises(TransformError, match=r"to be a choice of 2, found Bounded"):
        TransformedEnv(GymEnv("Pendulum-v1"), DiscreteActionProjection(2, 4))

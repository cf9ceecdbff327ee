"""ActionDiscretizer: choices for continuous actions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Categorical, MultiCategorical, MultiOneHot, Unbounded
from envcli.testing import check_env_specs
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.action_discretizer import ActionDiscretizer
from tests.transforms.test_action_scaling import LOPSIDED, Takes, played
from tests.transforms.test_step_counter import Team

WIDE = Bounded(-2, 2, shape=[1])


@pytest.mark.parametrize("categorical", [True, False])
@pytest.mark.parametrize("out", [None, "choice"])
def test_it_keeps_every_promise(categorical: bool, out: str | None) -> None:
    for env, key in (
        (CountingEnv([2, 3], [2]), "action"),
        (NestedEnv(3), ("agent", "action")),
        (GymEnv("Pendulum-v1"), "action"),
    ):
        check_env_specs(TransformedEnv(env, ActionDiscretizer(5, key, out, categorical=categorical)))


class Pair(Team):
    """Two agents, each with a number in [-1, 1] as its action."""

    def __init__(self) -> None:
        super().__init__(9)
        self.full_action_spec = self._group(action=Bounded(-1, 1, shape=(2, 1)))


@pytest.mark.parametrize("out", [None, ("agents", "choice")])
def test_the_choices_of_agents_stand_in_a_group_of_agents(out: tuple[str, str] | None) -> None:
    env = TransformedEnv(Pair(), ActionDiscretizer(3, ("agents", "action"), out))
    for spec in (env.full_action_spec, *([] if out is None else [env.full_state_spec])):
        assert spec["agents"].shape == (2,)
    assert env.rollout(3)["agents"].batch_size == (3, 2)
    check_env_specs(env)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (None, [-1.5, -0.5, 0.5, 1.5]),
        ("median", [-1.5, -0.5, 0.5, 1.5]),
        ("low", [-2, -1, 0, 1]),
        (ActionDiscretizer.SamplingStrategy.HIGH, [-1, 0, 1, 2]),
    ],
)
def test_the_number_that_stands_for_an_interval(sampling: Any, expected: list[float]) -> None:
    env = TransformedEnv(Takes(WIDE), ActionDiscretizer(4, sampling=sampling))
    assert env.action_spec == MultiCategorical([4], shape=[1])
    assert played(env, [0], [1], [2], [3]) == [[number] for number in expected]


def test_a_random_number_of_the_interval() -> None:
    env = TransformedEnv(Takes(WIDE), ActionDiscretizer(4, sampling="random"))
    env.rollout(200, lambda td: td.set("action", torch.tensor([3])))
    taken = torch.stack(env.base_env.taken)
    assert taken.min() >= 1
    assert taken.max() <= 2
    assert taken.std() > 0.2, "uniform on [1, 2] has 0.29"


def test_a_count_for_each_element() -> None:
    env = TransformedEnv(Takes(LOPSIDED), ActionDiscretizer([2, 5]))
    assert env.action_spec == MultiCategorical([2, 5], shape=[2])
    assert played(env, [0, 0], [1, 4]) == [[-0.5, 1], [0.5, 9]]


@pytest.mark.parametrize("batch", [(), (2,)])
def test_one_hot(batch: tuple[int, ...]) -> None:
    env = TransformedEnv(Takes(LOPSIDED, batch), ActionDiscretizer([2, 5], categorical=False))
    assert env.action_spec == MultiOneHot([2, 5], shape=[*batch, 7])
    action = torch.tensor([False, True, False, False, True, False, False]).expand(*batch, 7)
    env.step(env.reset().set("action", action))
    assert torch.equal(env.base_env.taken[0], torch.tensor([0.5, 5.0]).expand(*batch, 2))


def test_each_env_of_a_batch() -> None:
    env = TransformedEnv(Takes(LOPSIDED, (2,)), ActionDiscretizer(2))
    assert played(env, [[0, 0], [1, 1]]) == [[[-0.5, 2.5], [0.5, 7.5]]]


def test_under_another_name_the_simulators_action_is_recorded() -> None:
    env = TransformedEnv(Takes(WIDE), ActionDiscretizer(4, out_action_key="choice"))
    assert (env.action_keys, env.state_keys) == (["choice"], ["action"])
    data = env.rollout(6)
    assert torch.equal(data["action"], data["choice"] - 1.5)
    assert torch.equal(data["action"], torch.stack(env.base_env.taken))
    td = env.reset()
    assert "action" not in td
    td = env.step(td.set("choice", torch.tensor([3])))
    assert td["action"] == 1.5


def test_alone_after_it_was_in_an_env() -> None:
    env = TransformedEnv(Takes(LOPSIDED, (2,)), ActionDiscretizer([2, 5]))
    data = env.rollout(7)
    assert torch.equal(env.transform.inv(data)["action"], torch.stack(env.base_env.taken, 1))
    with pytest.raises(TransformError, match=r"the bounds of the action are unknown"):
        ActionDiscretizer(3).inv(TensorDict({"action": torch.zeros(1, dtype=torch.int64)}))


def test_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"expected whole numbers of at least 1, found 0"):
        ActionDiscretizer(0)
    with pytest.raises(ConfigError, match=r"expected one of median, low, high, random, found 'mean'"):
        ActionDiscretizer(3, sampling="mean")
    with pytest.raises(TransformError, match=r"discretizes bounded actions, but 'action' is Unbounded"):
        TransformedEnv(Takes(Unbounded([2])), ActionDiscretizer(3))
    with pytest.raises(TransformError, match=r"discretizes bounded actions, but 'action' is Categorical"):
        TransformedEnv(Takes(Categorical(2, shape=[1])), ActionDiscretizer(3))
    with pytest.raises(TransformError, match=r"is for 3 elements, but 'action' has 2 \[2\]. Give one number, or 2"):
        TransformedEnv(Takes(LOPSIDED), ActionDiscretizer([1, 2, 3]))
    with pytest.raises(TransformError, match=r"has no elements to discretize"):
        TransformedEnv(Takes(Bounded(0, 1, shape=[]), (2,)), ActionDiscretizer(3))


def test_repr() -> None:
    assert repr(ActionDiscretizer(3)) == (
        "ActionDiscretizer(num_intervals=3, action_key='action', out_action_key='action', sampling=median, "
        "categorical=True)"
    )


def test_rows_on_the_host_meet_bounds_on_another_device() -> None:
    choices = ActionDiscretizer(4)
    TransformedEnv(CountingEnv(), choices)
    for name in ("_low", "_high", "_length"):
        setattr(choices, name, getattr(choices, name).to("meta"))
    with pytest.raises(NotImplementedError, match="meta"):  # which has no data; a GPU's would be copied
        choices._inv_apply_transform(torch.zeros(1, dtype=torch.int64))


@pytest.mark.parametrize("given", [None, True, 1.5, 0, {}, [2, 0], "abc"])
def test_what_is_no_count_of_intervals_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^num_intervals: expected whole numbers of at least 1, found "):
        ActionDiscretizer(given)

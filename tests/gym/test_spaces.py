"""Gymnasium's spaces as specs, and back."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envcli.errors import ConfigError, SpecError
from envcli.gym.spaces import announced, space_to_spec, spec_to_space, starts_of
from envcli.specs import (
    Binary,
    Bounded,
    Categorical,
    Composite,
    MultiCategorical,
    MultiOneHot,
    OneHot,
    Unbounded,
)

INF = np.inf


@pytest.mark.parametrize(
    ("space", "spec"),
    [
        (spaces.Box(-1, 2, (3,), np.float32), Bounded(-1, 2, shape=[3], dtype=torch.float32)),
        (spaces.Box(-INF, INF, (3,), np.float64), Unbounded([3], dtype=torch.float64)),
        (spaces.Box(0, INF, (2,), np.float32), Bounded(0, INF, shape=[2], dtype=torch.float32)),
        (spaces.Box(0, 255, (2, 2, 3), np.uint8), Bounded(0, 255, shape=[2, 2, 3], dtype=torch.uint8)),
        (spaces.Box(-1, 1, (), np.float32), Bounded(-1, 1, shape=[1], dtype=torch.float32)),
        (spaces.Discrete(4), OneHot(4, dtype=torch.int64)),
        (spaces.Discrete(4, start=-2), OneHot(4, dtype=torch.int64)),
        (spaces.MultiBinary(3), Binary(shape=[3], dtype=torch.int8)),
        (spaces.MultiBinary([2, 3]), Binary(shape=[2, 3], dtype=torch.int8)),
        (spaces.MultiDiscrete([2, 3]), MultiOneHot([2, 3], dtype=torch.int64)),
        (spaces.MultiDiscrete([3, 3]), OneHot(3, shape=[2, 3], dtype=torch.int64)),
        (
            spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1,)))),
            Composite({"0": OneHot(2, dtype=torch.int64), "1": Bounded(0, 1, shape=[1], dtype=torch.float32)}),
        ),
        (
            spaces.Dict(a=spaces.Dict(b=spaces.Discrete(2))),
            Composite(a=Composite(b=OneHot(2, dtype=torch.int64))),
        ),
    ],
    ids=str,
)
def test_specs(space: Any, spec: Any) -> None:
    assert space_to_spec(space) == spec


def test_numbers_rather_than_one_hot() -> None:
    assert space_to_spec(spaces.Discrete(4, start=3), categorical=True) == Categorical(4)
    multi = space_to_spec(spaces.MultiDiscrete([[2, 3], [4, 5]]), categorical=True)
    assert multi == MultiCategorical(torch.tensor([[2, 3], [4, 5]]))


def test_bounds_of_every_element_are_kept() -> None:
    low, high = np.array([-1, -INF, 0], np.float32), np.array([1, 5, INF], np.float32)
    spec = space_to_spec(spaces.Box(low, high))
    assert spec.space.low.tolist() == low.tolist()
    assert spec.space.high.tolist() == high.tolist()


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Graph(spaces.Discrete(2), None),
        spaces.OneOf([spaces.Discrete(2), spaces.Discrete(3)]),
    ],
    ids=lambda space: type(space).__name__,
)
def test_what_has_no_fixed_shape_is_refused_by_its_name_and_place(space: Any) -> None:
    with pytest.raises(ConfigError, match=rf"observation_space\.pair\.0: {type(space).__name__}\(.*has no fixed shape"):
        space_to_spec(spaces.Dict(pair=spaces.Tuple((space,))), where="observation_space")


def test_a_text_says_where_texts_are_taken() -> None:
    with pytest.raises(ConfigError, match=r"Texts are taken as observations of backend=gymnasium alone\."):
        space_to_spec(spaces.Text(5))


def test_a_table_of_choices_has_no_one_hot() -> None:
    said = r"^observation_space: a one-hot encoding of .*\]\]\) has .* Type: backend\.categorical_action_encoding=true$"
    with pytest.raises(ConfigError, match=said):  # in one line
        space_to_spec(spaces.MultiDiscrete([[2, 3], [4, 5]]), where="observation_space")


def test_numbers_that_torch_cannot_compare_are_refused_by_their_place() -> None:
    with pytest.raises(ConfigError, match=r"^observation_space\.a: Box\(0, 7, \(2,\), uint64\) .*torch\.uint64"):
        space_to_spec(spaces.Dict(a=spaces.Box(0, 7, (2,), np.uint64)), where="observation_space")


@pytest.mark.parametrize("categorical", [False, True])
@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(np.array([-1, -INF, 0], np.float32), np.array([1, 5, INF], np.float32)),
        spaces.Box(-INF, INF, (2, 3), np.float64),
        spaces.Box(0, 255, (2, 2, 3), np.uint8),
        spaces.Box(-(2**31), 2**31 - 1, (2,), np.int32),
        spaces.Discrete(4),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiDiscrete([3, 3]),
        spaces.MultiBinary(3),
        spaces.MultiBinary([2, 3]),
        spaces.Dict(a=spaces.Dict(b=spaces.Discrete(2)), c=spaces.Box(0, 1, (1,))),
    ],
    ids=str,
)
def test_a_space_comes_back_from_its_spec(space: Any, categorical: bool) -> None:
    spec = space_to_spec(space, categorical=categorical)
    assert spec_to_space(spec) == space
    assert space_to_spec(spec_to_space(spec), categorical=categorical) == spec


@pytest.mark.parametrize(
    ("spec", "space"),
    [
        (Categorical(2, shape=[1], dtype=torch.bool), spaces.MultiBinary(1)),
        (Categorical(5, shape=[2]), spaces.MultiDiscrete([5, 5])),
        (MultiOneHot([2, 3], shape=[2, 5]), spaces.MultiDiscrete([[2, 3], [2, 3]])),
        (Unbounded([1], dtype=torch.uint8), spaces.Box(0, 255, (1,), np.uint8)),
        (Unbounded([1], dtype=torch.bool), spaces.MultiBinary(1)),
        (Unbounded([2, 0], dtype=torch.bool), spaces.Box(0, 1, (2, 0), np.bool_)),
        (Binary(shape=[0], dtype=torch.int8), spaces.Box(0, 1, (0,), np.int8)),
    ],
    ids=str,
)
def test_specs_that_no_space_makes(spec: Any, space: Any) -> None:
    assert spec_to_space(spec) == space


def test_what_gymnasium_has_no_space_for() -> None:
    with pytest.raises(ConfigError, match=r"a\.b: gymnasium has no space of torch\.bfloat16"):
        spec_to_space(Composite(a=Composite(b=Unbounded(1, dtype=torch.bfloat16))))


@pytest.mark.parametrize(
    ("space", "value", "said"),
    [
        (spaces.Box(0, 1, (2,)), np.zeros(3), r"here: expected shape \(2,\) as the env declares, found \(3,\)"),
        (spaces.Box(0, 1, (2,)), 0.5, r"found \(\)"),
        (spaces.Discrete(2), np.zeros(1), r"here: expected a single number, found an array of shape \(1,\)"),
        (spaces.Dict(a=spaces.Discrete(2)), {"b": 1}, "here: expected an entry 'a'"),
        (spaces.Dict(a=spaces.Box(0, 1, (2,))), {"a": np.zeros(1)}, r"here\.a: expected shape"),
        (spaces.Tuple((spaces.Discrete(2),)), (), "here: expected 1 entries, found 0"),
        (spaces.Tuple((spaces.Discrete(2),)), 3, "here: expected 1 entries, found 3"),
        (spaces.Dict(a=spaces.Discrete(2)), {"a": 1, "b": 1}, "here: found 'b', which is not declared"),
        (spaces.Discrete(3, start=-1), 2, "here: expected -1 to 1, found 2"),
        (spaces.MultiDiscrete([2, 3], start=[5, 0]), np.array([5, 3]), r"expected 0 to 2, found 3 at \[1\]"),
        (spaces.MultiBinary(2), np.array([0, 2], np.int8), r"expected 0 to 1, found 2 at \[1\]"),
    ],
)
def test_what_is_no_member_is_refused(space: Any, value: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        announced(space).check(value, "here")


def test_a_real_space_of_every_env_family() -> None:
    for name in (
        "CartPole-v1",
        "Pendulum-v1",
        "FrozenLake-v1",
        "Taxi-v4",
    ):
        env = gymnasium.make(name)
        spec = space_to_spec(env.observation_space)
        assert spec.shape == (env.observation_space.shape or (int(env.observation_space.n),))
        env.close()


def test_where_numbers_start_is_told_of_what_is_shown_unchanged() -> None:
    late = spaces.Discrete(3, start=5)
    pair = spaces.Tuple((late, spaces.Discrete(2), spaces.MultiDiscrete([2, 3], start=[0, 4])))
    nested = spaces.Dict(a=late, b=spaces.Dict(c=spaces.Discrete(4, start=-1), d=spaces.Box(0, 1)))
    shown = space_to_spec(nested)
    assert isinstance(shown, Composite)
    assert starts_of(nested, shown) == {("a",): 5, ("b", "c"): -1}
    found = starts_of(pair, Composite(observation=space_to_spec(pair), other=OneHot(3)))
    assert {path: start.tolist() for path, start in found.items()} == {
        ("observation", "0"): 5,
        ("observation", "2"): [0, 4],
    }
    for other in (Composite(action=OneHot(4)), Composite(), Composite(a=OneHot(3), b=OneHot(3))):
        assert starts_of(late, other) == {}
    assert starts_of(late, Composite(anything=Categorical(3))) == {("anything",): 5}
    for path, start in starts_of(nested, shown).items():
        assert spec_to_space(shown[path], start=start) == (late if path == ("a",) else nested["b"]["c"])

"""Jumanji's specs as spaces."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

pytest.importorskip("jumanji", reason="jumanji is not installed (extra jumanji)")

from envcli.errors import ConfigError, UnknownName
from envcli.jitted.jumanji_world import action_space, names, native, observation_space, specs

INT32 = np.iinfo(np.int32)


def test_what_is_seen() -> None:
    assert observation_space(specs.DiscreteArray(5)) == spaces.Box(0, 4, (1,), np.int32)
    assert observation_space(specs.BoundedArray((2,), bool, False, True)) == spaces.MultiBinary([2])
    assert observation_space(specs.Array((2,), np.float32)) == spaces.Box(-np.inf, np.inf, (2,), np.float32)
    assert observation_space(specs.Array((), np.int32)) == spaces.Box(INT32.min, INT32.max, (1,), np.int32)
    bounded = specs.BoundedArray((2, 2), np.float32, 0.0, [[1.0, 2.0], [3.0, 4.0]])
    low, high = np.zeros((2, 2), np.float32), np.array([[1, 2], [3, 4]], np.float32)
    assert observation_space(bounded) == spaces.Box(low, high)


def test_what_is_nested_keeps_its_names() -> None:
    inner = specs.Spec(dict, "inner", x=specs.DiscreteArray(3))
    nested = observation_space(specs.Spec(dict, "outer", a=inner, b=specs.Array((), np.float32)))
    assert isinstance(nested, spaces.Dict)
    assert set(nested.spaces) == {"a", "b"}
    assert nested["a"] == spaces.Dict(x=spaces.Box(0, 2, (1,), np.int32))


def test_what_is_done() -> None:
    assert action_space(specs.DiscreteArray(4)) == spaces.Discrete(4)
    assert action_space(specs.MultiDiscreteArray(np.array([2, 3]))) == spaces.MultiDiscrete([2, 3])
    assert action_space(specs.BoundedArray((2,), np.float32, -1, 1)) == spaces.Box(-1, 1, (2,), np.float32)


def test_envs_by_name() -> None:
    assert "Snake-v1" in names()
    assert native("Snake-v1", {"time_limit": 7}).time_limit == 7
    with pytest.raises(UnknownName):
        native("Snake", {})
    with pytest.raises(ConfigError, match="cannot be made with size: TypeError"):
        native("Snake-v1", {"size": 3})

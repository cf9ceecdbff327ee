"""gymnax's spaces and names."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

pytest.importorskip("gymnax", reason="gymnax is not installed (extra gymnax)")

from envcli.errors import ConfigError, UnknownName
from envcli.jitted.gymnax_world import names, native, space_of, theirs


def test_spaces() -> None:
    box = theirs.Box(0.0, np.array([1.0, 2.0]), (2,), np.float32)
    assert space_of(theirs.Discrete(4)) == spaces.Discrete(4)
    assert space_of(box) == spaces.Box(np.zeros(2, np.float32), np.array([1, 2], np.float32))
    assert space_of(theirs.Tuple([theirs.Discrete(2), box]))[0] == spaces.Discrete(2)
    assert space_of(theirs.Dict({"a": theirs.Discrete(2)})) == spaces.Dict(a=spaces.Discrete(2))
    with pytest.raises(ConfigError, match="found a int"):
        space_of(3)


def test_envs_by_name() -> None:
    assert "Breakout-MinAtar" in names()
    _, params = native("CartPole-v1", {"gravity": 3.7})
    assert params.gravity == 3.7
    with pytest.raises(UnknownName):
        native("CartPole", {})

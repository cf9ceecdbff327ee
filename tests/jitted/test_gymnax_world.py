"""gymnax's spaces and names."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

pytest.importorskip("gymnax", reason="gymnax is not installed (extra gymnax)")

from envcli.errors import ConfigError, UnknownName
from envcli.gym.old_spaces import as_gymnasium
from envcli.jitted.gymnax_world import gymnax, names, native

theirs = gymnax.environments.spaces


def test_spaces() -> None:
    box = theirs.Box(0.0, np.array([1.0, 2.0]), (2,), np.float32)
    assert as_gymnasium(theirs.Discrete(4)) == spaces.Discrete(4)
    assert as_gymnasium(box) == spaces.Box(np.zeros(2, np.float32), np.array([1, 2], np.float32))
    assert as_gymnasium(theirs.Tuple([theirs.Discrete(2), box]))[0] == spaces.Discrete(2)
    assert as_gymnasium(theirs.Dict({"a": theirs.Discrete(2)})) == spaces.Dict(a=spaces.Discrete(2))
    with pytest.raises(ConfigError, match="3 is no Box"):
        as_gymnasium(3)


def test_envs_by_name() -> None:
    assert "Breakout-MinAtar" in names()
    _, params = native("CartPole-v1", {"gravity": 3.7})
    assert params.gravity == 3.7
    with pytest.raises(UnknownName):
        native("CartPole", {})

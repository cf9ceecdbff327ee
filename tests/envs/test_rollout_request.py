"""RolloutRequest: what is refused before a step is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envcli.envs.rollout_request import RolloutRequest
from envcli.errors import EnvError

ASKED: dict[str, Any] = {
    "steps": 3,
    "act": None,
    "act_on": None,
    "callback": None,
    "reset": True,
    "at_end": "stop",
    "begin": None,
    "set_truncated": False,
    "out": None,
    "progress": None,
}


def test_steps_are_a_whole_number_however_it_is_spelt() -> None:
    assert RolloutRequest(**{**ASKED, "steps": np.int64(4)}).steps == 4
    with pytest.raises(TypeError, match=r"max_steps must be a whole number, found 2\.5"):
        RolloutRequest(**{**ASKED, "steps": 2.5})
    with pytest.raises(ValueError, match="max_steps must be at least 1, found 0"):
        RolloutRequest(**{**ASKED, "steps": 0})


def test_something_must_say_where_it_begins() -> None:
    with pytest.raises(EnvError, match=r"Pass tensordict=env\.reset\(\)"):
        RolloutRequest(**{**ASKED, "reset": False})

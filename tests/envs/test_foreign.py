from __future__ import annotations

import dm_env
import gymnasium
import pytest

from envcli.envs.env import Env
from envcli.envs.foreign import way_in


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        (gymnasium.Env, "envcli.from_gymnasium"),
        (gymnasium.wrappers.TimeLimit, "envcli.from_gymnasium"),
        (type("Task", (dm_env.Environment,), {}), "envcli.from_dm_env"),
        (type("EnvBase", (), {"__module__": "torchrl.envs.common"}), "envcli.from_torchrl"),
        (gymnasium.vector.VectorEnv, None),
        (type("Env", (), {"__module__": "gymnasium_of_others"}), None),
        (Env, None),
    ],
)
def test_the_way_in_is_that_of_the_library(kind: type, way: str | None) -> None:
    assert way_in(kind) == way

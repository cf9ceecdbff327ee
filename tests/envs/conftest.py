"""Two envs that do the same: one on rows, one on TensorDicts."""

from __future__ import annotations

from typing import Any

import pytest

from envcli.backends.gym import GymWrapper
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import CountingEnv


def native() -> Any:
    """An env whose rows are written straight, without an EnvBase: what Env itself does is tested on it."""
    return GymWrapper(CountingGym(limit=3))


ENVS = {"rows": native, "tensordicts": CountingEnv}


@pytest.fixture(params=ENVS)
def env(request: pytest.FixtureRequest) -> Any:
    return ENVS[request.param]()

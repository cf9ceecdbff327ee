"""What an adapter is given."""

from __future__ import annotations

import gymnasium
import pytest

from envcli import GymEnv, as_gymnasium
from envcli.adapters.adopted import adopted
from envcli.errors import ConfigError


def test_an_env_or_its_words() -> None:
    with GymEnv("CartPole-v1") as env:
        assert adopted("here", (env,)) is env
        with pytest.raises(ConfigError, match="here: found both an env and words"):
            adopted("here", (env, "seed=3"))
    with adopted("here", ("env=cartpole", "frame_skip=2")) as env:
        assert env.frame_skip == 2


def test_an_env_of_theirs_is_pointed_to_its_door() -> None:
    with pytest.raises(ConfigError, match=r"as_gymnasium: found a gymnasium.*from_gymnasium"):
        as_gymnasium(gymnasium.make("CartPole-v1"))  # type: ignore[arg-type]

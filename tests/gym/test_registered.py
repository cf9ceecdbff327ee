"""What gymnasium's registry and metadata say of an env, for one and for a batch of them."""

from __future__ import annotations

import gymnasium
import pytest

from envcli.backends.gym import GymEnv
from envcli.backends.gymnasium_vector import GymnasiumVectorEnv
from envcli.envs.env import Env


@pytest.mark.parametrize("make", [GymEnv, GymnasiumVectorEnv])
def test_the_time_of_a_step_is_that_of_its_frames(make: type[Env]) -> None:
    rate = gymnasium.make("CartPole-v1").metadata["render_fps"]
    with make("CartPole-v1", frame_skip=3) as env:
        assert env.step_seconds == pytest.approx(3 / rate)
        assert env.frames_per_step == 3
        assert env.needed_for("CartPole-v1") == ""

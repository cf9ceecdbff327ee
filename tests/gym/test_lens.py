"""Frames of several envs that draw in turn in one process, each with an OpenGL context of its own."""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

if importlib.util.find_spec("mujoco") is None:
    pytest.skip("needs mujoco", allow_module_level=True)

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.backends.gymnasium_vector import GymnasiumVectorEnv
from envcli.envs.env import Env

ROOT = Path(__file__).parent.parent.parent
SMALL = {"width": 24, "height": 16}


def cheetah() -> Env:
    return GymEnv("HalfCheetah-v5", from_pixels=True, **SMALL)


def hopper() -> Env:
    return GymEnv("Hopper-v5", from_pixels=True, **SMALL)


def deepminds() -> Env:
    from envcli.backends.dm_control import DMControlEnv

    return DMControlEnv("cheetah", "run", from_pixels=True, pixels_only=True, pixel_size=[16, 24])


needs_dm_control = pytest.param(
    deepminds, marks=pytest.mark.skipif(importlib.util.find_spec("dm_control") is None, reason="needs dm_control")
)


@functools.cache
def alone(make: Callable[[], Env]) -> torch.Tensor:
    with make() as env:
        return first_frames(env)


def first_frames(env: Env) -> torch.Tensor:
    """What the first three steps of seed 0 show when the action is always zero."""
    env.set_seed(0)
    return torch.stack([frame for frame, _ in zip(shown(env), range(3), strict=False)])


def shown(env: Env) -> Iterator[torch.Tensor]:
    td = env.reset()
    while True:
        yield td["pixels"].clone()
        td = env.step_mdp(env.step(td.set("action", torch.zeros_like(env.action_spec.zero()))))


@pytest.mark.parametrize("other", [hopper, needs_dm_control])
def test_envs_that_draw_in_turn_show_what_each_shows_alone(other: Callable[[], Env]) -> None:
    expected = list(zip(alone(cheetah), alone(other), strict=True))
    with cheetah() as one:
        with other() as two:
            one.set_seed(0)
            two.set_seed(0)
            for found, single in zip(zip(shown(one), shown(two), strict=False), expected, strict=False):
                torch.testing.assert_close(found, single, rtol=0, atol=0)
                assert found[0].float().std() > 1  # not black
        torch.testing.assert_close(first_frames(one), alone(cheetah), rtol=0, atol=0)  # the other one was closed
        forgotten = other()
        forgotten.reset()
        del forgotten
        torch.testing.assert_close(first_frames(one), alone(cheetah), rtol=0, atol=0)


@pytest.mark.parametrize("other", [hopper, needs_dm_control])
def test_an_env_that_is_closed_takes_no_frame_of_another_with_it(other: Callable[[], Env]) -> None:
    with cheetah() as one:
        two = other()
        first_frames(one)
        two.close()
        assert torch.equal(first_frames(one), alone(cheetah))


@pytest.mark.parametrize("make", [cheetah, needs_dm_control])
def test_an_env_of_somebody_else_that_is_closed_and_collected_takes_no_frame_with_it(make: Callable[[], Env]) -> None:
    alone(make)
    native = native_cheetah()
    native.render()
    if os.environ["MUJOCO_GL"] == "glfw":
        pytest.skip("gymnasium's close() ends GLFW for all")
    native.close()
    cycle: list[object] = [native]
    cycle.append(cycle)
    with make() as env:
        env.reset()
        del native, cycle
        gc.collect()
        assert torch.equal(first_frames(env), alone(make))


def test_who_draws_with_gymnasium_itself_goes_on_as_before() -> None:
    expected = alone(cheetah)[0].numpy()
    with cheetah() as env:
        env.reset()
        if os.environ["MUJOCO_GL"] == "osmesa":
            pytest.skip("OSMesa does not tell what was current")
        native = native_cheetah()
        for _ in range(2):
            assert (native.render() == expected).all()
            assert torch.equal(first_frames(env), alone(cheetah))


def native_cheetah() -> gymnasium.Env[Any, Any]:
    native: gymnasium.Env[Any, Any] = gymnasium.make("HalfCheetah-v5", render_mode="rgb_array", **SMALL)
    native.reset(seed=0)
    return native


def test_a_seed_decides_the_frames_whatever_was_drawn_before() -> None:
    with cheetah() as env:
        env.set_seed(1)
        env.reset()
        torch.testing.assert_close(first_frames(env), alone(cheetah), rtol=0, atol=0)


def test_the_first_frame_is_gymnasiums() -> None:
    native = native_cheetah()
    with GymWrapper(native) as wrapped:
        native.reset(seed=0)
        assert (wrapped.render() == alone(cheetah)[0].numpy()).all()


def test_a_vector_env_shows_the_frames_of_single_ones() -> None:
    with GymnasiumVectorEnv("HalfCheetah-v5", 2, from_pixels=True, **SMALL) as engine:
        engine.set_seed([0, 0])
        frames = engine.rollout(3, lambda td: td.set("action", torch.zeros(2, 6)))["pixels"]
    for i in range(2):
        torch.testing.assert_close(frames[i], alone(cheetah), rtol=0, atol=0)


class Littered(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Throws away what it holds when it is about to draw again, and collects it, if Python may at any moment."""

    held: list[object]
    drawn = 0

    def render(self) -> Any:
        self.drawn += 1
        if self.drawn > 1:
            self.held.clear()
            if gc.isenabled():
                gc.collect()
        return super().render()


def test_an_env_that_is_collected_meanwhile_takes_no_frame_with_it() -> None:
    littered = Littered(gymnasium.make("HalfCheetah-v5", render_mode="rgb_array", **SMALL))
    other = hopper()
    other.reset()
    cycle: list[object] = [other]
    cycle.append(cycle)
    littered.held = [cycle]
    del other, cycle
    with GymWrapper(littered, from_pixels=True) as env:
        assert torch.equal(first_frames(env), alone(cheetah))


FORGOTTEN = """
from envcli import DMControlEnv, GymEnv
def deepminds(): return DMControlEnv("cheetah", "run", from_pixels=True, pixel_size=8)
def gymnasiums(): return GymEnv("Hopper-v5", from_pixels=True, width=8, height=8)
envs = [deepminds(), gymnasiums(), gymnasiums(), deepminds()]
print(*(env.rollout(2).shape[0] for env in envs))
"""


@pytest.mark.skipif(importlib.util.find_spec("dm_control") is None, reason="needs dm_control")
def test_envs_that_nobody_closes_end_without_a_word() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORGOTTEN], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 2 2 2\n", "")


WRAPPED = """
import gymnasium, envcli
native = gymnasium.make("Hopper-v5", render_mode="rgb_array", width=24, height=16)
print(envcli.GymWrapper(native, from_pixels=True).reset()["pixels"].float().mean() > 9)
"""


def test_an_env_that_was_made_by_hand_draws_without_a_display() -> None:
    unset = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-c", WRAPPED], cwd=ROOT, env=unset, capture_output=True, text=True, timeout=200, check=False
    )
    assert (done.returncode, done.stdout) == (0, "tensor(True)\n"), done.stderr

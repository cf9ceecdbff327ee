"""Frames of gymnasium envs: drawn ones, and observations that are images by themselves."""

from __future__ import annotations

import importlib.util
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envcli import gl
from envcli.backends.gym import GymEnv, GymWrapper
from envcli.envs.env import Env
from envcli.errors import ConfigError, MissingDependency, UnknownName
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.gym_toys import CountingGym, ExoticGym
from tests.conftest import Command

FRAME = (2, 4, 3)

needs_atari = pytest.mark.skipif(importlib.util.find_spec("ale_py") is None, reason="needs ale-py")
needs_pygame = pytest.mark.skipif(importlib.util.find_spec("pygame") is None, reason="needs pygame")


class Drawn(CountingGym):
    """Each frame shows the number of steps, and the memory of the frame is always the same."""

    render_mode = "rgb_array"

    def __init__(self, limit: int = 5) -> None:
        super().__init__(limit)
        self.frame = np.zeros(FRAME, np.uint8)
        self.drawn = 0

    def render(self) -> Any:
        self.drawn += 1
        self.frame[:] = self.count
        return self.frame


class TestDrawn(EnvContract):
    def make_env(self) -> Env:
        return GymWrapper(Drawn(limit=3), from_pixels=True, pixels_only=False)


class TestDrawnAlone(EnvContract):
    def make_env(self) -> Env:
        return GymWrapper(Drawn(limit=3), from_pixels=True)


@needs_pygame
class TestPendulum(EnvContract):
    def make_env(self) -> Env:
        return GymEnv("Pendulum-v1", from_pixels=True, frame_skip=2)


@needs_atari
class TestPong(EnvContract):
    def make_env(self) -> Env:
        return GymEnv("ALE/Pong-v5")


# -- drawn frames -----------------------------------------------------------------------------------------------------


def test_the_first_frame_is_the_resets_and_then_one_a_step() -> None:
    native = Drawn(limit=3)
    with GymWrapper(native, from_pixels=True, pixels_only=False) as env:
        native.drawn = 0
        data = env.rollout(5, break_when_any_done=False)
    assert data["pixels"][:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1]
    assert data["next", "pixels"][:, 1, 3, 2].tolist() == [1, 2, 3, 1, 2]
    assert data["next", "observation"].flatten().tolist() == [1, 2, 3, 1, 2]
    assert native.drawn == 7  # two resets and five steps: nothing is drawn twice


def test_with_frame_skip_only_the_last_frame_is_drawn() -> None:
    native = Drawn(limit=9)
    with GymWrapper(native, from_pixels=True, frame_skip=2) as env:
        native.drawn = 0
        assert env.rollout(3)["next", "pixels"][:, 0, 0, 0].tolist() == [2, 4, 6]
        assert native.drawn == 4


@pytest.mark.parametrize(("only", "keys"), [(True, ["pixels"]), (False, ["observation", "pixels"])])
def test_pixels_only_drops_the_state(only: bool, keys: list[str]) -> None:
    with GymWrapper(Drawn(), from_pixels=True, pixels_only=only) as env:
        assert env.observation_keys == keys
        assert env.observation_spec["pixels"] == Bounded(0, 255, shape=FRAME, dtype=torch.uint8)
        assert (env.from_pixels, env.pixels_only) == (True, only)


def test_keys_of_a_dict_stay_as_they_are() -> None:
    class DrawnDict(ExoticGym):
        render_mode = "rgb_array"

        def render(self) -> Any:
            return np.zeros(FRAME, np.uint8)

    with GymWrapper(DrawnDict(), from_pixels=True, pixels_only=False) as env:
        assert {"pixels", "image", ("inner", "deep")} < set(env.observation_keys)
    own = spaces.Dict({"pixels": spaces.Box(0, 1)})
    with pytest.raises(ConfigError, match="already has an entry 'pixels'"):
        GymWrapper(DrawnDict(own), from_pixels=True, pixels_only=False)


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (None, "found a NoneType"),
        (np.zeros(FRAME, np.float32), r"found float32 \[2, 4, 3\]"),
        (np.zeros((2, 4), np.uint8), "height, width, 3"),
    ],
)
def test_what_is_no_frame_is_refused(frame: Any, found: str) -> None:
    native = Drawn()
    native.render = lambda: frame  # type: ignore[method-assign]  # a toy
    with pytest.raises(ConfigError, match=f"render_mode='rgb_array': .*{found}"):
        GymWrapper(native, from_pixels=True)


def test_without_pixels_nothing_is_drawn() -> None:
    native = Drawn()
    with GymWrapper(native) as env:
        env.rollout(4)
        assert native.drawn == 0
        assert not env.from_pixels
        assert env.observation_keys == ["observation"]


@needs_pygame
def test_pendulum_is_as_the_tutorial_prints_it() -> None:
    with GymEnv("Pendulum-v1", from_pixels=True) as env:
        shown = env.reset()
        assert set(shown.keys()) == {"pixels", "done", "terminated", "truncated"}
        assert (shown["pixels"].shape, shown["pixels"].dtype) == (torch.Size([500, 500, 3]), torch.uint8)
    with GymEnv("Pendulum-v1", from_pixels=True, pixels_only=False) as env:
        assert env.reset()["observation"].shape == torch.Size([3])


@needs_pygame
def test_frames_and_states_are_gymnasiums_own() -> None:
    with GymEnv("MountainCarContinuous-v0", from_pixels=True, pixels_only=False) as env:
        env.set_seed(3)
        data = env.rollout(3)
    bare = gymnasium.make("MountainCarContinuous-v0", render_mode="rgb_array")
    state, _ = bare.reset(seed=3)
    for row in data:
        np.testing.assert_array_equal(row["observation"], state)
        np.testing.assert_array_equal(row["pixels"], bare.render())
        state, *_ = bare.step(row["action"].numpy())
        np.testing.assert_array_equal(row["next", "observation"], state)
        np.testing.assert_array_equal(row["next", "pixels"], bare.render())
    bare.close()


@needs_pygame
def test_an_env_made_to_draw_can_be_wrapped() -> None:
    gl.prepare_sdl()
    with GymWrapper(gymnasium.make("CartPole-v1", render_mode="rgb_array"), from_pixels=True) as env:
        assert env.rollout(2)["pixels"].shape == torch.Size([2, 400, 600, 3])


def test_a_frame_that_cannot_be_drawn_says_why() -> None:
    class Undrawn(Drawn):
        def render(self) -> Any:
            raise AssertionError("unsupported render mode")

    said = r"^Undrawn cannot be rendered: AssertionError: unsupported .*\. Choose another: .*render_mode=MODE$"
    with pytest.raises(ConfigError, match=said):
        GymWrapper(Undrawn(), from_pixels=True)


# -- observations that are images -------------------------------------------------------------------------------------


def test_an_image_is_called_pixels() -> None:
    image = spaces.Box(0, 255, FRAME, np.uint8)
    with GymWrapper(ExoticGym(image)) as env:
        assert env.from_pixels
        assert env.observation_keys == ["pixels"]
    for other in (spaces.Box(0, 255, (2, 4), np.uint8), spaces.Box(0, 9, FRAME, np.uint8), spaces.Box(0, 1, FRAME)):
        with GymWrapper(ExoticGym(other)) as env:
            assert not env.from_pixels
            assert env.observation_keys == ["observation"]


@needs_atari
def test_pong_is_as_the_tutorial_prints_it() -> None:
    for options in ({}, {"from_pixels": True}, {"pixels_only": False}):
        with GymEnv("ALE/Pong-v5", **options) as env:
            assert env.from_pixels
            shown = env.reset()
            assert set(shown.keys()) == {"pixels", "done", "terminated", "truncated"}
            assert (shown["pixels"].shape, shown["pixels"].dtype) == (torch.Size([210, 160, 3]), torch.uint8)


@needs_atari
@pytest.mark.parametrize(("skip", "native", "frames"), [(None, 4, 4), (1, 1, 1), (3, 1, 3)])
def test_frames_of_atari_are_not_skipped_twice(skip: int | None, native: int, frames: int) -> None:
    with GymEnv("ALE/Pong-v5", frame_skip=skip) as env:
        assert env.unwrapped._frameskip == native
        before = env.unwrapped.ale.getEpisodeFrameNumber
        env.reset()
        start = before()
        env.rand_step()
        assert before() - start == frames


@needs_atari
def test_atari_that_shows_its_memory_can_be_drawn() -> None:
    with GymEnv("ALE/Pong-v5", obs_type="ram") as env:
        assert env.observation_keys == ["observation"]
    with GymEnv("ALE/Pong-v5", obs_type="ram", from_pixels=True, pixels_only=False) as env:
        shapes = {key: value.shape for key, value in env.reset().items()}
        assert (shapes["observation"], shapes["pixels"]) == (torch.Size([128]), torch.Size([210, 160, 3]))


@needs_atari
def test_ids_of_atari_are_listed_and_suggested() -> None:
    assert "ALE/Pong-v5" in GymEnv.available_names()
    with pytest.raises(UnknownName, match="'ALE/Pong-v5'"):
        GymEnv("ALE/Pong-v9")


@needs_atari
def test_a_game_by_its_name_alone_is_not_taken_for_the_old_id(cli: Command) -> None:
    done = cli("spec", "env=pong", "backend=gymnasium")
    said = (
        "no gymnasium env 'Pong'. Did you mean 'ALE/Pong-v5'? Or, as a preset: env=pong. Type: backend.name=ALE/Pong-v5"
    )
    assert (done.code, done.err) == (2, f"error: {said}\n")


def test_without_ale_py_an_id_of_atari_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"envcli\[atari\]"):
        GymEnv("ALE/NoSuchGame-v5")

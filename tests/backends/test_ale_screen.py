"""The screen of an Atari, recoloured by a table, against the same from its RGB frames."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ale_py", reason="ale-py is not installed (extra atari)")

from envcli.backends.ale import ALEEnv
from envcli.backends.ale_console import Console
from envcli.backends.ale_screen import Pooled, Recoloured
from envcli.chain.transformed_env import TransformedEnv
from envcli.memory.buffer import NO_GRAY, Array
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.compose import Compose
from envcli.transforms.gray_scale import GrayScale
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.resize import Resize
from envcli.transforms.transform import Transform

AS_USUAL: dict[str, Any] = {
    "noop_max": 0,
    "stop_at_life_loss": False,
    "repeat_action_probability": 0.0,
    "difficulty": None,
    "mode": None,
    "max_num_frames": None,
}


def luma(colours: Array) -> Array:
    recolour = GrayScale()._recolour()
    assert recolour is not None
    return recolour(colours)


@pytest.mark.parametrize("max_pool", [False, True])
@pytest.mark.parametrize("rom", ["seaquest", "air_raid"])
def test_the_table_gives_what_the_colours_give(rom: str, max_pool: bool) -> None:
    """Games of two palettes; Seaquest flickers, so that the last two frames differ."""
    by_number, by_colour = (Console(rom, frame_skip=4, max_pool=max_pool, **AS_USUAL) for _ in range(2))
    height, width = by_number.ale.getScreenDims()
    recoloured = Recoloured(by_number, luma)
    pooled = Pooled(by_colour, by_colour.ale.getScreenRGB, (height, width, 3))
    by_number.viewer, by_colour.viewer = recoloured.look_before, pooled.look_before
    gray, colours = np.zeros((height, width, 1), np.uint8), np.zeros((height, width, 3), np.uint8)
    actions = np.random.default_rng(0).integers(0, 18, size=300).tolist()
    for console in (by_number, by_colour):
        console.seed(0)
        console.begin()
    mixed = 0
    for action in actions:
        by_number.hold(action)
        by_colour.hold(action)
        recoloured.read(gray)
        pooled.read(colours)
        np.testing.assert_array_equal(gray[..., 0], luma(colours))
        mixed += not np.array_equal(pooled._before, colours)
    assert by_number.is_pooling is max_pool
    assert mixed > 0 or not max_pool, "no two frames differed"


def test_no_gray_is_taken_for_a_colour_that_is_not_known() -> None:
    white = np.full((1, 3), 255, np.uint8)
    assert luma(white).max() < NO_GRAY


CHAINS: dict[str, tuple[bool, Any]] = {
    "gray alone": (True, lambda: GrayScale()),
    "gray, small, stacked": (True, lambda: Compose(NoopResetEnv(9), GrayScale(), Resize(84), CatFrames(4, dim=-1))),
    "gray last": (False, lambda: Compose(Resize(84), GrayScale())),
    "both shown": (False, lambda: GrayScale(in_keys=["pixels"], out_keys=["gray"])),
    "seen before": (False, lambda: Compose(Brightest(), GrayScale())),
    "its own rule": (False, lambda: OwnGray()),
}


class Brightest(Transform):
    """Looks at the frames without naming them."""

    def _call(self, next_tensordict: Any) -> Any:
        assert next_tensordict["pixels"].shape[-1] == 3
        return next_tensordict


class OwnGray(GrayScale):
    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs[..., :1] // 2


@pytest.mark.parametrize("options", [{}, {"max_pool": True, "episodic_life": True}], ids=["plain", "pooled"])
@pytest.mark.parametrize("name", CHAINS)
def test_a_rollout_is_the_same_to_the_bit(name: str, options: dict[str, Any]) -> None:
    """As of an env that can draw in its own colours only."""
    is_recoloured, chain = CHAINS[name]
    found = []
    for recolours in (True, False):
        base = ALEEnv("Breakout", **options)
        if not recolours:
            base._recolours = frozenset()
        with TransformedEnv(base, chain()) as env:
            torch.manual_seed(0)
            env.set_seed(0)
            found.append(env.rollout(120, break_when_any_done=False))
            assert (base._recoloured is not None) is (is_recoloured and recolours)
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_the_spec_of_the_simulator_stays_in_colour() -> None:
    with TransformedEnv(ALEEnv("Pong"), GrayScale()) as env:
        assert env.rollout(3)["pixels"].shape == (3, 210, 160, 1)
        assert env.base_env.observation_spec["pixels"].shape == (210, 160, 3)
        assert env.base_env.rollout(3)["pixels"].shape == (3, 210, 160, 3)
        assert env.transform.parent.observation_spec["pixels"].shape == (210, 160, 3)
        assert env.rollout(3)["pixels"].shape == (3, 210, 160, 1)


def test_a_pickle_goes_on_in_the_same_grays() -> None:
    with TransformedEnv(ALEEnv("Pong", repeat_action_probability=0), GrayScale()) as env:
        env.set_seed(0)
        last = env.rollout(30)[-1]["next"].exclude("reward")
        with pickle.loads(pickle.dumps(env)) as again:
            frames = []
            for each in (env, again):
                torch.manual_seed(0)
                frames.append(each.rollout(20, auto_reset=False, tensordict=last.clone())["next", "pixels"])
    assert torch.equal(*frames)

"""Presets of whole experiments: what they show is what their papers say."""

from __future__ import annotations

import pytest
import torch

from envcli import gl
from envcli.builder import build
from envcli.configuration.reading import read
from envcli.vocabulary import catalog

SHOWN = {  # preset -> the observation of one env, and how many envs
    "atari_dqn": ("pixels", (4, 84, 84), torch.uint8, ()),
    "atari_sticky": ("pixels", (4, 84, 84), torch.uint8, ()),
    "dreamer_walker": ("pixels", (3, 64, 64), torch.uint8, ()),
    "drq_cheetah": ("pixels", (9, 84, 84), torch.uint8, ()),
    "pendulum_skip": ("observation", (3,), torch.float32, ()),
    "ppo_atari": ("pixels", (4, 84, 84), torch.uint8, (8,)),
    "ppo_mujoco": ("observation", (17,), torch.float32, ()),
    "tutorial_pixels": ("pixels", (1, 84, 84), torch.float32, ()),
    "tutorial_vec_norm": ("observation", (3,), torch.float32, (3,)),
}


def test_every_preset_is_here() -> None:
    assert sorted(SHOWN) == list(catalog.choices("experiment"))


@pytest.mark.usefixtures("fork_server")
@pytest.mark.parametrize("preset", SHOWN)
def test_a_preset_runs_and_shows_what_it_should(preset: str) -> None:
    key, shape, dtype, batch = SHOWN[preset]
    cfg = read("rollout", [f"experiment={preset}", "seed=0"])
    if cfg.from_pixels and cfg.backend["type"] == "dm_control" and not any(way.works for way in gl.survey()):
        pytest.skip("nothing can draw here")
    with build(vars(cfg)) as env:
        rollout = env.rollout(3)
    assert rollout.shape == (*batch, 3)
    assert rollout[key].shape[-len(shape) :] == shape
    assert rollout[key].dtype == dtype
    assert rollout["next", key].float().std() > 0


def test_sticky_actions_come_with_the_full_set() -> None:
    with build(vars(read("rollout", ["experiment=atari_sticky", "seed=0"]))) as env:
        assert env.action_spec.shape == (18,)
        assert env.rollout(3)["next", "pixels"].shape == (3, 4, 84, 84)

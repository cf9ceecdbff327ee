from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.frames.look import Look
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing.toys import CountingEnv
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.compose import Compose
from envcli.transforms.rename import RenameTransform
from envcli.transforms.resize import Resize
from envcli.transforms.to_tensor_image import ToTensorImage
from tests.transforms.image_toy import FramesEnv


@pytest.mark.parametrize(
    ("chain", "look"),
    [
        ([], Look(0, 255)),
        ([ToTensorImage()], Look(0, 1, 1)),
        ([ToTensorImage(from_int=False)], Look(0, 255, 1)),
        ([ToTensorImage(), CatFrames(N=3, dim=-3)], Look(0, 1, 3)),
        ([CatFrames(N=2, dim=-1)], Look(0, 255, 2)),
        ([ToTensorImage(), CatFrames(N=2, dim=-3), CatFrames(N=2, dim=-3)], Look(0, 1, 4)),
        ([ToTensorImage(from_int=False, dtype="uint8"), CatFrames(N=3, dim=-3), Resize(6)], Look(0, 255, 3)),
    ],
)
@pytest.mark.parametrize("batch", [[], [2]])
def test_the_env_says_what_is_black_and_white_and_how_many_there_are(chain: Any, batch: list[int], look: Look) -> None:
    env = TransformedEnv(FramesEnv([3, 4] if batch else 3, batch), Compose(*(one.clone() for one in chain)))
    assert Look.of(env, "pixels") == look


def test_it_goes_with_the_name() -> None:
    chain = Compose(ToTensorImage(), CatFrames(N=3, dim=-3), RenameTransform(["pixels"], ["seen"]))
    env = TransformedEnv(FramesEnv(3), chain)
    assert Look.of(env, "seen") == Look(0, 1, 3)


@pytest.mark.parametrize("spec", [Unbounded([5, 4, 3]), Bounded(0.0, torch.inf, shape=[5, 4, 3]), None])
def test_what_nobody_says_is_not_known(spec: Any) -> None:
    env = CountingEnv(3)
    if spec is not None:
        env.full_observation_spec = Composite(pixels=spec)
    assert Look.of(env, "pixels") == Look()


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        (torch.tensor([0, 3], dtype=torch.uint8), 0, 255),
        (torch.tensor([False, True]), 0, 1),
        (torch.tensor([0.0, 0.5]), 0, 1),
        (torch.tensor([0.0, 1.5]), 0, 255),
        (torch.tensor([-1.0, torch.nan, 0.5]), -1, 0.5),
        (torch.tensor([3.0, 500.0]), 3, 500),
        (torch.tensor([-2.0, -2.0]), -2, -1),
        (torch.tensor([torch.inf]), 0, 1),
    ],
)
def test_values_tell_where_nothing_else_does(values: torch.Tensor, low: float, high: float) -> None:
    assert Look(stack=2).seeing(values) == Look(low, high, 2)
    assert Look(-7, 7, 2).seeing(values) == Look(-7, 7, 2)


def test_it_can_be_written_down() -> None:
    for look in (Look(), Look(0, 1.5, 3), Look(stack=2)):
        assert Look.read(json.loads(json.dumps(asdict(look)))) == look


@pytest.mark.parametrize(
    "told", [None, 3, {"low": "a", "high": 1}, {"low": 1, "high": 1}, {"low": 0, "high": float("nan"), "stack": 0}]
)
def test_nonsense_in_a_file_is_not_known(told: Any) -> None:
    assert Look.read(told) == Look()

"""Resize."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.resize import Resize
from envcli.transforms.to_tensor_image import ToTensorImage
from tests.transforms.image_toy import FramesEnv

SIZES = [
    (210, 160, 84, 84),
    (240, 320, 32, 32),
    (17, 13, 5, 7),
    (12, 10, 30, 20),
    (12, 10, 6, 20),
    (9, 9, 1, 9),
    (300, 251, 67, 41),
    (97, 240, 83, 239),
    (84, 84, 84, 84),
]


class TestOfFloats(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv(), Compose(ToTensorImage(), Resize(w=7, h=5)))


class TestOfFramesInABatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([3, 4], [2]), Resize(6))


class TestThatOvershoots(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv(), Compose(ToTensorImage(), Resize(6, interpolation="bicubic")))


@pytest.mark.parametrize(("height", "width", "h", "w"), SIZES)
@pytest.mark.parametrize("lead", [(), (2,), (2, 1)])
def test_floats_equal_the_antialiased_resize(height: int, width: int, h: int, w: int, lead: tuple[int, ...]) -> None:
    images = torch.rand(*lead, 3, height, width, generator=torch.Generator().manual_seed(0))
    wanted = interpolate(images.reshape(-1, 3, height, width), (h, w), mode="bilinear", antialias=True)
    resized = Resize(w=w, h=h)._apply_transform(images)
    assert resized.shape == (*lead, 3, h, w)
    assert (resized.reshape(wanted.shape) - wanted).abs().max() < 1e-6


@pytest.mark.parametrize(("height", "width", "h", "w"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_within_one_of_the_rounded_floats_and_of_pillow(
    height: int, width: int, h: int, w: int, channels: int
) -> None:
    frames = torch.randint(
        0, 256, (height, width, channels), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    resized = Resize(w=w, h=h)._apply_transform(frames)
    assert resized.dtype == torch.uint8
    assert resized.shape == (h, w, channels)
    floats = Resize(w=w, h=h)._apply_transform(frames.movedim(-1, -3).float()).movedim(-3, -1)
    assert (resized - floats.round()).abs().max() <= 1
    image = Image.fromarray(frames.squeeze(-1).numpy()).resize((w, h), Image.Resampling.BILINEAR)
    foreign = torch.from_numpy(np.asarray(image).copy()).view(h, w, channels)
    assert (resized.int() - foreign.int()).abs().max() <= 1
    first = Resize(w=w, h=h)._apply_transform(frames.movedim(-1, -3).contiguous())
    assert (first.movedim(-3, -1).int() - resized.int()).abs().max() <= 1, (
        "channels first or last, the image is the same"
    )


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest", "nearest-exact", "area"])
def test_one_pixel_is_a_size(mode: str) -> None:
    images = torch.randint(0, 256, (3, 3, 20, 30), dtype=torch.uint8)
    wanted = Resize(1, interpolation=mode)._apply_transform(images.float())
    found = Resize(1, interpolation=mode)._apply_transform(images)
    assert found.shape == (3, 3, 1, 1)
    assert (found.float() - wanted).abs().max() <= 1


def test_a_stack_of_frames_as_simulators_draw_them_keeps_its_channels() -> None:
    frames = [torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8) for _ in range(3)]
    resize = Resize(w=15, h=10)
    wanted = torch.cat([resize._apply_transform(frame) for frame in frames], -1)
    found = resize._apply_transform(torch.cat(frames, -1))
    assert found.shape == (10, 15, 9)
    assert (found.int() - wanted.int()).abs().max() <= 1


def test_h_is_the_height() -> None:
    image = torch.arange(12 * 10, dtype=torch.float32).view(1, 12, 10)
    assert Resize(h=6, w=5)._apply_transform(image).shape == (1, 6, 5)
    assert Resize(w=5, h=6)._apply_transform(image).shape == (1, 6, 5)
    assert Resize(8)._apply_transform(image).shape == Resize(8, 8)._apply_transform(image).shape == (1, 8, 8)
    assert Resize(w=8)._apply_transform(image).shape == (1, 8, 8)


@pytest.mark.parametrize("mode", ["bicubic", "nearest", "nearest-exact", "area"])
def test_other_methods(mode: str) -> None:
    images = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    wanted = interpolate(images, (5, 6), mode=mode, antialias=mode == "bicubic")
    assert (Resize(h=5, w=6, interpolation=mode)._apply_transform(images) - wanted).abs().max() < 1e-6
    whole = (images * 255).to(torch.uint8)
    resized = Resize(h=5, w=6, interpolation=mode)._apply_transform(whole)
    assert resized.dtype == torch.uint8
    wanted = interpolate(whole.float(), (5, 6), mode=mode, antialias=mode == "bicubic").round().clamp(0, 255)
    assert torch.equal(resized, wanted.to(torch.uint8))


def test_area_is_the_mean_by_hand() -> None:
    image = torch.tensor([[[0.0, 2.0, 10.0, 10.0], [4.0, 6.0, 10.0, 10.0]]])
    assert Resize(h=1, w=2, interpolation="area")._apply_transform(image).tolist() == [[[3.0, 10.0]]]


def test_a_rollout_gets_what_the_env_gets() -> None:
    raw = FramesEnv([3, 4], [2]).rollout(6, break_when_any_done=False)
    seen = TransformedEnv(FramesEnv([3, 4], [2]), Resize(6)).rollout(6, break_when_any_done=False)
    assert torch.equal(Resize(6)(raw)["pixels"], seen["pixels"])


def test_sizes_that_say_nothing_clear_are_refused() -> None:
    with pytest.raises(TransformError, match=r"which is the height\? Write Resize\(h=64, w=84\)"):
        Resize(64, 84)
    for wrong in ({}, {"w": 0}, {"w": 8, "h": -1}, {"w": 2.5}):
        with pytest.raises(TransformError, match="whole number of at least 1"):
            Resize(**wrong)
    with pytest.raises(TransformError, match=r"expected w= and h=, or one number for a square, found \[8, 8, 9\]"):
        Resize(8, 8, h=9)
    assert Resize(8, h=9)._apply_transform(torch.zeros(3, 20, 20)).shape == (3, 9, 8)
    with pytest.raises(ConfigError, match=r"expected one of bilinear, .*found 'cubic'"):
        Resize(8, interpolation="cubic")


def test_misfits_are_named() -> None:
    with pytest.raises(
        TransformError, match=r"'pixels'.*channels, height, width\], found \[12, 10, 3\].*ToTensorImage\(\)"
    ):
        TransformedEnv(FramesEnv(), Compose(DTypeCastTransform("uint8", "float32"), Resize(8)))
    with pytest.raises(TransformError, match=r"'observation'.*found \[1\]"):
        TransformedEnv(CountingEnv(), Resize(8, in_keys=["observation"]))

"""GrayScale."""

from __future__ import annotations

import warnings

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.gray_scale import GrayScale
from envcli.transforms.to_tensor_image import ToTensorImage
from tests.transforms.image_toy import FramesEnv


class TestOfFloats(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv(), Compose(ToTensorImage(), GrayScale()))


class TestOfFramesInABatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([3, 4], [2]), GrayScale())


def test_weights_by_hand() -> None:
    colours = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]).T.view(3, 1, 4)
    gray = GrayScale()._apply_transform(colours)
    assert gray.shape == (1, 1, 4)
    assert torch.allclose(gray.flatten(), torch.tensor([0.2989, 0.587, 0.114, 0.9999]), atol=1e-7)


def test_bytes_are_the_exact_sum_cut_off() -> None:
    levels = torch.arange(0, 256, 5)
    colours = torch.cartesian_prod(levels, levels, levels)
    exact = (colours @ torch.tensor([2989, 5870, 1140])) // 10000
    last = colours.to(torch.uint8).view(-1, 52, 3)
    assert torch.equal(GrayScale()._apply_transform(last).flatten().long(), exact)
    first = last.movedim(-1, -3).contiguous()
    assert torch.equal(GrayScale()._apply_transform(first).flatten().long(), exact)
    assert GrayScale()._apply_transform(torch.full((5, 5, 3), 255, dtype=torch.uint8)).unique().tolist() == [254]


def test_bounds_are_those_of_an_image() -> None:
    """By 0 and 255 stable-baselines3 tells images from numbers, though no gray is brighter than 254."""
    spec = TransformedEnv(FramesEnv([3, 4], [2]), GrayScale()).observation_spec["pixels"]
    assert (spec.low.min(), spec.high.max(), spec.dtype) == (0, 255, torch.uint8)


def test_shapes_and_leading_dimensions() -> None:
    assert GrayScale()._apply_transform(torch.zeros(2, 4, 3, 8, 9)).shape == (2, 4, 1, 8, 9)
    assert GrayScale()._apply_transform(torch.zeros(2, 4, 8, 9, 3, dtype=torch.uint8)).shape == (2, 4, 8, 9, 1)
    gray = torch.rand(1, 8, 9)
    assert torch.equal(GrayScale()._apply_transform(gray), gray), "what is gray stays gray"


def test_a_rollout_gets_what_the_env_gets() -> None:
    raw = FramesEnv([3, 4], [2]).rollout(6, break_when_any_done=False)
    seen = TransformedEnv(FramesEnv([3, 4], [2]), GrayScale()).rollout(6, break_when_any_done=False)
    assert torch.equal(GrayScale()(raw)["pixels"], seen["pixels"])


def test_misfits_are_named() -> None:
    with pytest.raises(TransformError, match=r"\['pixels'\] do not exist. The env has: done, observation"):
        TransformedEnv(CountingEnv(), GrayScale())
    with pytest.raises(TransformError, match=r"'pixels'.*found \[12, 10, 3\].*ToTensorImage\(\)"):
        TransformedEnv(FramesEnv(), Compose(DTypeCastTransform("uint8", "float32"), GrayScale()))
    with pytest.raises(TransformError, match=r"takes \[\*lead, 3, height, width\], found \[4, 8, 9\]"):
        GrayScale()._apply_transform(torch.zeros(4, 8, 9))


def test_appended_to_an_env_without_images_it_does_nothing_and_says_so_once() -> None:
    """As the tutorial does, to show what ``parent`` is."""
    env = TransformedEnv(CountingEnv())
    with pytest.warns(UserWarning, match=r"GrayScale: the env shows no \['pixels'\], so it does nothing"):
        assert env.append_transform(GrayScale()) is env
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.append_transform(DTypeCastTransform("float32", "float64"))
        assert env.rollout(3)["observation"].flatten().tolist() == [0, 1, 2]
        assert "pixels" not in env.transform[1].parent.reset()


def test_appended_by_name_it_must_fit() -> None:
    env = TransformedEnv(CountingEnv())
    with pytest.raises(TransformError, match="do not exist"):
        env.append_transform(GrayScale(in_keys=["pixels"]))
    assert len(env.transform) == 0

"""Crop."""

from __future__ import annotations

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract
from envcli.transforms.compose import Compose
from envcli.transforms.crop import Crop
from envcli.transforms.to_tensor_image import ToTensorImage
from tests.transforms.image_toy import FramesEnv

IMAGE = torch.arange(5 * 6).view(1, 5, 6)


class TestOfFloats(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv(), Compose(ToTensorImage(), Crop(w=7, h=5, top=1, left=2)))


class TestOfFramesInABatchThatReachesOut(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([3, 4], [2]), Crop(8, top=8, left=8))


def test_rows_and_columns() -> None:
    cut = Crop(w=3, h=2, top=1, left=2)._apply_transform(IMAGE)
    assert cut.tolist() == [[[8, 9, 10], [14, 15, 16]]]
    assert torch.equal(Crop(2)._apply_transform(IMAGE), IMAGE[:, :2, :2])
    frames = IMAGE.to(torch.uint8).movedim(0, -1)
    assert torch.equal(Crop(w=3, h=2, top=1, left=2)._apply_transform(frames)[..., 0].long(), cut[0])


@pytest.mark.parametrize(("top", "left"), [(4, 5), (-1, -2), (9, 0), (0, -9)])
def test_outside_is_zero(top: int, left: int) -> None:
    whole = torch.zeros(1, 40, 40, dtype=torch.int64)
    whole[:, 10:15, 10:16] = IMAGE
    wanted = whole[:, 10 + top : 13 + top, 10 + left : 14 + left]
    assert torch.equal(Crop(w=4, h=3, top=top, left=left)._apply_transform(IMAGE), wanted)


@pytest.mark.parametrize(("top", "left"), [(12, 0), (-3, 0), (0, 10), (0, -4)])
@pytest.mark.parametrize("before", [[], [ToTensorImage()]])
def test_an_env_warns_where_no_pixel_is_left(top: int, left: int, before: list[ToTensorImage]) -> None:
    chain = [*(one.clone() for one in before), Crop(w=4, h=3, top=top, left=left)]
    with pytest.warns(UserWarning, match="nothing is left of the image, 12 pixels high and 10 wide"):
        env = TransformedEnv(FramesEnv(), Compose(*chain))
    assert not env.reset()["pixels"].any()


@pytest.mark.parametrize(("top", "left"), [(11, 0), (-2, 0), (0, 9), (0, -3)])
def test_one_pixel_is_enough(top: int, left: int) -> None:
    env = TransformedEnv(FramesEnv(), Crop(w=4, h=3, top=top, left=left))
    assert env.reset()["pixels"].any()


def test_a_rollout_gets_what_the_env_gets() -> None:
    raw = FramesEnv([3, 4], [2]).rollout(6, break_when_any_done=False)
    seen = TransformedEnv(FramesEnv([3, 4], [2]), Crop(w=3, h=2)).rollout(6, break_when_any_done=False)
    assert torch.equal(Crop(w=3, h=2)(raw)["pixels"], seen["pixels"])


def test_misfits_are_named() -> None:
    with pytest.raises(TransformError, match=r"Crop\(3, 2\): which is the height\?"):
        Crop(3, 2)
    with pytest.raises(TransformError, match=r"found \[5, 6\]. Name the image in in_keys"):
        Crop(2)._apply_transform(torch.zeros(5, 6))

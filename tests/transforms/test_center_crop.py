"""CenterCrop."""

from __future__ import annotations

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract
from envcli.transforms.center_crop import CenterCrop
from envcli.transforms.compose import Compose
from envcli.transforms.to_tensor_image import ToTensorImage
from tests.transforms.image_toy import FramesEnv

IMAGE = torch.arange(5 * 6).view(1, 5, 6)


class TestOfFloats(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv(), Compose(ToTensorImage(), CenterCrop(w=7, h=5)))


class TestOfFramesInABatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([3, 4], [2]), CenterCrop(8))


@pytest.mark.parametrize(("h", "w", "top", "left"), [(3, 2, 1, 2), (1, 4, 2, 1), (2, 3, 2, 2), (5, 6, 0, 0)])
def test_the_middle(h: int, w: int, top: int, left: int) -> None:
    """(5 - 2) / 2 = 1.5 rounds to 2, as (6 - 3) / 2 does; Python and torchvision round halves to the even number."""
    cut = CenterCrop(w=w, h=h)._apply_transform(IMAGE)
    assert torch.equal(cut, IMAGE[:, top : top + h, left : left + w])


def test_a_larger_one_is_filled_up() -> None:
    cut = CenterCrop(w=9, h=8)._apply_transform(IMAGE)
    assert torch.equal(cut[:, 1:6, 1:7], IMAGE), "3 more in each direction: 1 before, 2 behind"
    assert cut.sum() == IMAGE.sum()


def test_a_rollout_gets_what_the_env_gets() -> None:
    raw = FramesEnv([3, 4], [2]).rollout(6, break_when_any_done=False)
    seen = TransformedEnv(FramesEnv([3, 4], [2]), CenterCrop(w=3, h=2)).rollout(6, break_when_any_done=False)
    assert torch.equal(CenterCrop(w=3, h=2)(raw)["pixels"], seen["pixels"])


def test_misfits_are_named() -> None:
    with pytest.raises(TransformError, match=r"CenterCrop\(3, 2\): which is the height\?"):
        CenterCrop(3, 2)

"""What transforms of images share: several of them run in one pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.testing import EnvContract
from envcli.transforms.center_crop import CenterCrop
from envcli.transforms.compose import Compose
from envcli.transforms.gray_scale import GrayScale
from envcli.transforms.image import ImageSequence
from envcli.transforms.resize import Resize
from envcli.transforms.to_tensor_image import ToTensorImage
from envcli.transforms.transform import Transform
from tests.transforms.image_toy import FramesEnv

CHAINS: list[Any] = [
    lambda: [ToTensorImage(), Resize(6)],
    lambda: [ToTensorImage(), Resize(6), GrayScale()],
    lambda: [ToTensorImage(), GrayScale(), Resize(w=5, h=7)],
    lambda: [ToTensorImage(), CenterCrop(8), Resize(w=4, h=12), GrayScale(), Resize(3)],
    lambda: [ToTensorImage(from_int=False), Resize(6), GrayScale()],
    lambda: [GrayScale(), ToTensorImage(), Resize(6)],
    lambda: [Resize(6), GrayScale(), ToTensorImage(from_int=False, dtype="uint8")],
    lambda: [GrayScale(), Resize(w=5, h=7), ToTensorImage(from_int=False, dtype="uint8")],
    lambda: [GrayScale(), Resize(w=5, h=7)],
    lambda: [GrayScale(), Resize(w=5, h=14), ToTensorImage(from_int=False, dtype="uint8")],
    lambda: [ToTensorImage(unsqueeze=True), Resize(6), GrayScale()],
    lambda: [ToTensorImage(dtype="float64"), Resize(6), GrayScale()],
]


class TestTheWholeChain(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv([3, 4], [2]), Compose(ToTensorImage(), Resize(6), GrayScale()))


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("batch", [[], [2]])
def test_the_same_comes_out_as_one_by_one(chain: Any, batch: list[int]) -> None:
    limit = [3, 4] if batch else 3
    raw = FramesEnv(limit, batch).rollout(6, break_when_any_done=False)
    seen = TransformedEnv(FramesEnv(limit, batch), Compose(*chain())).rollout(6, break_when_any_done=False)
    wanted = Compose(*chain())(raw)["pixels"]
    scale = 255 if wanted.max() > 1 else 1
    assert seen["pixels"].shape == wanted.shape
    assert (seen["pixels"].double() - wanted.double()).abs().max() < 1e-6 * scale
    assert torch.equal(seen[..., 1]["pixels"], seen[..., 0]["next", "pixels"])


def _run_by(env: TransformedEnv) -> list[type[Transform]]:
    env.reset()
    return [step.__self__.__class__ for step in env._bound_chain._steps]  # type: ignore[attr-defined]  # bound methods


def test_what_is_fused() -> None:
    chain = [ToTensorImage(), Resize(6), GrayScale()]
    assert _run_by(TransformedEnv(FramesEnv(), Compose(*chain))) == [ImageSequence]
    other = [ToTensorImage(), Resize(6, in_keys=["pixels"], out_keys=["small"]), GrayScale(in_keys=["small"])]
    assert _run_by(TransformedEnv(FramesEnv(), Compose(*other))) == [ToTensorImage, ImageSequence], "pixels are seen"
    beside = [ToTensorImage(out_keys=["image"]), Resize(6, in_keys=["image"])]
    assert _run_by(TransformedEnv(FramesEnv(), Compose(*beside))) == [ImageSequence]


@pytest.mark.parametrize("batch", [[], [2]])
def test_bytes_are_the_same_to_the_last_bit_in_arrays(batch: list[int]) -> None:
    limit = [3, 4] if batch else 3
    chain = Compose(GrayScale(), Resize(w=5, h=7), ToTensorImage(from_int=False, dtype="uint8"))
    env = TransformedEnv(FramesEnv(limit, batch), chain)
    seen = env.rollout(6, break_when_any_done=False)["next", "pixels"]
    env.reset()
    (sequence,) = (step.__self__ for step in env._bound_chain._steps)  # type: ignore[attr-defined]  # bound methods
    assert all(len(rules) == 3 for _, _, rules in sequence._in_bytes)
    raw = FramesEnv(limit, batch).rollout(6, break_when_any_done=False)
    assert torch.equal(seen, chain.clone()(raw)["next", "pixels"])


def test_the_chain_itself_stays_as_it_is() -> None:
    env = TransformedEnv(FramesEnv(), Compose(ToTensorImage(), Resize(6), GrayScale()))
    env.reset()
    assert [type(t) for t in env.transform] == [ToTensorImage, Resize, GrayScale]
    assert env.transform[2].parent.reset()["pixels"].shape == (3, 6, 6)


def test_what_is_set_of_one_of_them_counts_from_the_next_step_on() -> None:
    to_image = ToTensorImage()
    env = TransformedEnv(FramesEnv(9), Compose(to_image, GrayScale()))
    first = env.rand_step(env.reset())
    to_image.from_int = False
    second = env.rand_step(env.step_mdp(first))
    assert first["next", "pixels"].max() <= 1
    assert second["next", "pixels"].max() > 1
    assert env.observation_spec.is_in(second["next"].select("pixels"))

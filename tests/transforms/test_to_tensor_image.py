"""ToTensorImage."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.to_tensor_image import ToTensorImage
from tests.transforms.image_toy import FramesEnv, frame


class TestInAnEnv(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv(), ToTensorImage())


class TestInANestedBatch(EnvContract):
    def make_env(self) -> Env:
        key = ("camera", "pixels")
        return TransformedEnv(
            FramesEnv([3, 4], [2], group=("camera",)), ToTensorImage(in_keys=[key], out_keys=["image"])
        )


def test_values_and_bounds_in_an_env() -> None:
    env = TransformedEnv(FramesEnv(), ToTensorImage())
    image = env.reset()["pixels"]
    assert image.dtype == torch.float32
    assert image[2, 5, 7] == frame(0, 12, 10)[5, 7, 2] / 255
    assert torch.equal(env.rollout(3)["next", "pixels"][2], frame(3, 12, 10).permute(2, 0, 1) / 255)
    spec = env.observation_spec["pixels"]
    assert isinstance(spec, Bounded)
    assert spec.shape == (3, 12, 10)
    assert (spec.low == 0).all()
    assert (spec.high == 1).all()


def test_a_rollout_gets_what_the_env_gets() -> None:
    raw = FramesEnv([3, 4], [2]).rollout(6, break_when_any_done=False)
    seen = TransformedEnv(FramesEnv([3, 4], [2]), ToTensorImage()).rollout(6, break_when_any_done=False)
    assert torch.equal(ToTensorImage()(raw)["pixels"], seen["pixels"])


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_any_leading_dimensions(lead: tuple[int, ...]) -> None:
    frames = torch.randint(0, 256, (*lead, 4, 5, 3), dtype=torch.uint8)
    assert ToTensorImage()(TensorDict(pixels=frames, batch_size=lead))["pixels"].shape == (*lead, 3, 4, 5)
    assert ToTensorImage(unsqueeze=True)._apply_transform(frames).shape == (*lead, 1, 3, 4, 5)


def test_scaling_and_dtype() -> None:
    whole = torch.full((4, 5, 3), 51, dtype=torch.uint8)
    assert (ToTensorImage()._apply_transform(whole) == 0.2).all()
    assert (ToTensorImage()._apply_transform(whole.float()) == 51).all(), "floats are taken to be scaled already"
    assert (ToTensorImage(from_int=True)._apply_transform(whole.float()) == 0.2).all()
    assert ToTensorImage(from_int=False)._apply_transform(whole).dtype == torch.float32
    moved = ToTensorImage(from_int=False, dtype="uint8")._apply_transform(whole)
    assert moved.dtype == torch.uint8
    assert (moved == 51).all()
    assert ToTensorImage(dtype="float64")._apply_transform(whole)[0, 0, 0] == torch.tensor(
        51 / 255, dtype=torch.float64
    )


def test_shape_tolerant_leaves_others_alone() -> None:
    tolerant = ToTensorImage(shape_tolerant=True)
    assert tolerant._apply_transform(torch.zeros(3, 4, 5)).shape == (3, 4, 5)
    assert tolerant._apply_transform(torch.zeros(4, 5, 3)).shape == (3, 4, 5)


def test_the_frame_that_was_given_is_not_written_to() -> None:
    floats = torch.full((4, 5, 3), 51.0)
    ToTensorImage(from_int=True)._apply_transform(floats)
    assert (floats == 51).all()


def test_misfits_are_named() -> None:
    with pytest.raises(ConfigError, match="dtype: expected a dtype of torch"):
        ToTensorImage(dtype="float33")
    with pytest.raises(TransformError, match=r"'observation'.*found \[1\].*in_keys"):
        TransformedEnv(CountingEnv(), ToTensorImage(in_keys=["observation"]))
    with pytest.raises(TransformError, match=r"\['pixels'\] do not exist. The env has: done, observation"):
        TransformedEnv(CountingEnv(), ToTensorImage())


def test_whole_numbers_do_not_hold_0_to_1() -> None:
    with pytest.raises(ConfigError, match="uint8 does not hold 0 to 1"):
        ToTensorImage(dtype="uint8")

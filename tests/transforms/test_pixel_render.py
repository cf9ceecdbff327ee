"""PixelRenderTransform: draws the env after each reset and step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.pixel_render import PixelRenderTransform
from envcli.transforms.step_counter import StepCounter


class Drawable(CountingEnv):
    """Draws its count, ``[*batch, 2, 2, 3]``, in steps of ``stride``."""

    drawings = 0

    def render(self, stride: int = 1) -> Any:
        self.drawings += 1
        count = self._count.numpy().astype(np.uint8) * stride
        return np.broadcast_to(count[..., None, None], (*self.batch_size, 2, 2, 3))

    def paint(self, tensordict: TensorDictBase) -> torch.Tensor:
        return tensordict["observation"] / 10


def make() -> Env:
    return TransformedEnv(Drawable(), PixelRenderTransform(stride=2))


class TestRendered(EnvContract):
    def make_env(self) -> Env:
        return make()


class TestABatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Drawable([2, 5], [2]), Compose(StepCounter(), PixelRenderTransform()))


@pytest.mark.parametrize("batch", [SerialEnv, ParallelEnv])
def test_within_a_batch_and_around_it(batch: Any) -> None:
    with batch(2, make) as env:
        inside = env.rollout(3)
    with TransformedEnv(batch(2, Drawable), PixelRenderTransform(stride=2)) as env:
        around = env.rollout(3)
    for shown in (inside, around):
        assert shown["pixels"].shape == (2, 3, 2, 2, 3)
        assert shown["pixels"][0, :, 0, 0, 0].tolist() == [0, 2, 4]
        assert shown["next", "pixels"][1, :, 1, 1, 2].tolist() == [2, 4, 6]


def test_another_method_of_what_is_shown() -> None:
    env = TransformedEnv(
        Drawable(), PixelRenderTransform(["tenths"], render_method="paint", pass_tensordict=True, preproc=torch.sqrt)
    )
    assert env.observation_spec["tenths"] == Unbounded(1)
    assert torch.equal(env.rollout(3)["next", "tenths"], torch.tensor([[1.0], [2], [3]]).div(10).sqrt())


def test_it_can_be_switched_off() -> None:
    env = TransformedEnv(Drawable(), PixelRenderTransform())
    assert env.observation_spec["pixels"] == Bounded(0, 255, (2, 2, 3), dtype=torch.uint8)
    env.transform.switch()
    drawings = env.base_env.drawings
    assert not env.rollout(3)["next", "pixels"].any()
    assert env.base_env.drawings == drawings
    env.transform.switch("on")
    assert env.rollout(3)["next", "pixels"].any()
    with pytest.raises(ConfigError, match="mode: expected 'on', 'off' or a bool, found 'dim'"):
        env.transform.switch("dim")


def test_it_is_drawn_once_to_know_its_spec() -> None:
    env = TransformedEnv(Drawable(), PixelRenderTransform())
    env.append_transform(StepCounter())
    assert env.observation_spec["step_count"].shape == (1,)
    assert env.base_env.drawings == 1


def test_a_frame_of_gymnasium() -> None:
    env = TransformedEnv(GymEnv("CartPole-v1", render_mode="rgb_array"), PixelRenderTransform())
    direct = GymEnv("CartPole-v1", from_pixels=True, pixels_only=False)
    for each in (env, direct):
        each.set_seed(3)
    actions = iter([torch.tensor([1, 0])] * 6)
    ours, theirs = (each.rollout(3, lambda td: td.set("action", next(actions))) for each in (env, direct))
    assert torch.equal(ours["next", "pixels"], theirs["next", "pixels"])


def test_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"out_keys: expected one key, found \['a', 'b'\]"):
        PixelRenderTransform(["a", "b"])
    with pytest.raises(ConfigError, match="as_non_tensor: expected false"):
        PixelRenderTransform(as_non_tensor=True)
    with pytest.raises(TransformError, match="the env has no method 'render' to draw it"):
        TransformedEnv(CountingEnv(), PixelRenderTransform())
    with pytest.raises(TransformError, match=r"render\(\) gave \[2, 2, 3\] for a batch \[3\]"):
        TransformedEnv(Drawable(3, [3]), PixelRenderTransform(preproc=lambda frames: frames[0]))
    with pytest.raises(TransformError, match="render_mode='rgb_array'"):
        TransformedEnv(Drawable(), PixelRenderTransform(preproc=lambda frame: None))

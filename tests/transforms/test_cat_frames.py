"""CatFrames."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.compose import Compose
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.gray_scale import GrayScale
from envcli.transforms.to_tensor_image import ToTensorImage
from tests.transforms.image_toy import FramesEnv

KEYS = {"in_keys": ["observation"], "out_keys": ["last"]}
BOTH = {"in_keys": ["observation", ("next", "observation")], "out_keys": ["last", ("next", "last")]}


class TestOfImages(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(FramesEnv(), Compose(ToTensorImage(), CatFrames(4, -3)))


class TestOfABatch(EnvContract):
    def make_env(self) -> Env:
        chain = CatFrames(3, -1, ["observation"], padding="constant", padding_value=-1)
        return TransformedEnv(CountingEnv([3, 4, 9], [3]), chain)


class TestOfANestedEntry(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(NestedEnv(), CatFrames(2, -1, [("agent", "observation")]))


def test_windows_over_the_end_of_episodes() -> None:
    env = TransformedEnv(CountingEnv(3), CatFrames(3, -1, **KEYS))
    rollout = env.rollout(5, break_when_any_done=False)
    assert rollout["last"].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 0, 0], [0, 0, 1]]
    assert rollout["next", "last"].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 1], [0, 1, 2]]


def test_a_constant_stands_before_the_first() -> None:
    env = TransformedEnv(CountingEnv(3), CatFrames(3, -1, **KEYS, padding="constant", padding_value=-7))
    rollout = env.rollout(4, break_when_any_done=False)
    assert rollout["last"].tolist() == [[-7, -7, 0], [-7, 0, 1], [0, 1, 2], [-7, -7, 0]]
    spec = env.observation_spec["last"]
    assert isinstance(spec, Bounded)
    assert spec.low.tolist() == [-7] * 3


@pytest.mark.parametrize("n", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("padding", ["same", "constant"])
@pytest.mark.parametrize("batch", [[], [2], [2, 1]])
def test_a_rollout_gets_what_the_env_gets(n: int, padding: str, batch: list[int]) -> None:
    limit: Any = torch.tensor([3, 5]).view(batch) if batch else 3
    make: Any = lambda: CountingEnv(limit, batch)  # noqa: E731
    seen = TransformedEnv(make(), CatFrames(n, -1, **KEYS, padding=padding)).rollout(30, break_when_any_done=False)
    raw = make().rollout(30, break_when_any_done=False)
    replayed = CatFrames(n, -1, **BOTH, padding=padding)(raw)
    assert torch.equal(replayed["last"], seen["last"])
    assert torch.equal(replayed["next", "last"], seen["next", "last"])


def test_images_on_a_rollout_in_place() -> None:
    raw = FramesEnv([2, 4], [2]).rollout(7, break_when_any_done=False)
    seen = TransformedEnv(FramesEnv([2, 4], [2]), CatFrames(2, -1)).rollout(7, break_when_any_done=False)
    replayed = CatFrames(2, -1, ["pixels", ("next", "pixels")])(raw)
    assert seen["pixels"].shape == (2, 7, 12, 10, 6)
    assert torch.equal(replayed["pixels"], seen["pixels"])
    assert torch.equal(replayed["next", "pixels"], seen["next", "pixels"])


def test_the_frames_outlast_a_rollout() -> None:
    env = TransformedEnv(CountingEnv(99), CatFrames(3, -1, **KEYS))
    state = env.rollout(4)[-1]
    following = env.rollout(2, auto_reset=False, tensordict=env.step_mdp(state))
    assert following["last"].tolist() == [[2, 3, 4], [3, 4, 5]]
    step = env.rand_step(env.step_mdp(following[-1]))
    assert step["next", "last"].tolist() == [5, 6, 7]


def test_partial_reset_leaves_the_others() -> None:
    env = TransformedEnv(CountingEnv(9, [2]), CatFrames(2, -1, **KEYS))
    state = env.step_mdp(env.rollout(3)[:, -1])
    state["_reset"] = torch.tensor([[True], [False]])
    assert env.reset(state)["last"].tolist() == [[0, 0], [2, 3]]
    assert env.rand_step(state)["next", "last"].tolist() == [[0, 1], [3, 4]]


def test_future_mask_and_inverse() -> None:
    raw = CountingEnv(3).rollout(5, break_when_any_done=False)
    ahead = CatFrames(2, -1, **KEYS, future=True, mask_key="padded")(raw.clone())
    assert ahead["last"].tolist() == [[0, 1], [1, 2], [2, 2], [0, 1], [1, 1]]
    assert ahead["padded"].int().tolist() == [[0, 0], [0, 0], [0, 1], [0, 0], [0, 1]], "as in TorchRL"
    behind = CatFrames(2, -1, **KEYS, as_inverse=True)
    assert "last" not in behind(raw)
    stored = behind.inv(raw)
    assert stored["last"].tolist() == [[0, 0], [0, 1], [1, 2], [0, 0], [0, 1]]
    assert "last" not in raw


def test_next_alone_is_a_sequence_of_its_own() -> None:
    raw = CountingEnv(3).rollout(4, break_when_any_done=False)
    del raw["observation"]
    stacked = CatFrames(2, -1, [("next", "observation")])(raw)
    assert stacked["next", "observation"].tolist() == [[1, 1], [1, 2], [2, 3], [1, 1]]


def test_another_flag_ends_episodes() -> None:
    lost = torch.tensor([0, 1, 0, 0]).bool().view(4, 1)
    raw = TensorDict({"x": torch.arange(4.0).view(4, 1), "next": {"lost": lost}}, [4])
    assert CatFrames(2, -1, ["x"], done_key="lost")(raw)["x"].tolist() == [[0, 0], [0, 1], [2, 2], [2, 3]]


def test_a_copy_has_frames_of_its_own() -> None:
    env = TransformedEnv(CountingEnv(99), CatFrames(2, -1, **KEYS))
    state = env.step_mdp(env.rollout(3)[-1])
    copy = env.transform.clone()
    TransformedEnv(CountingEnv(99), copy).rollout(2)
    assert env.rand_step(state)["next", "last"].tolist() == [3, 4]


def test_misfits_are_named() -> None:
    with pytest.raises(TransformError, match=r"dim: expected a negative number.*found 0"):
        CatFrames(4, 0)
    with pytest.raises(ConfigError, match="N: expected at least 1 frame, found 0"):
        CatFrames(0, -1)
    with pytest.raises(ConfigError, match="padding: expected same or constant, found 'zeros'"):
        CatFrames(4, -1, padding="zeros")
    with pytest.raises(
        TransformError, match=r"'observation' has the shape \[1\], which has no dimension -3. Use dim=-1"
    ):
        TransformedEnv(CountingEnv(), CatFrames(4, -3, ["observation"]))
    with pytest.raises(TransformError, match="future works on rollouts only"):
        TransformedEnv(CountingEnv(), CatFrames(4, -1, ["observation"], future=True))
    with pytest.raises(TransformError, match=r"needs a rollout \[\*batch, time\]"):
        CatFrames(4, -1, ["observation"])(CountingEnv().reset())


def test_padding_is_a_number_in_bfloat16_too() -> None:
    cast = DTypeCastTransform("float32", "bfloat16", ["observation"])
    padded = CatFrames(2, -1, ["observation"], padding="constant", padding_value=7.0)
    env = TransformedEnv(CountingEnv(), Compose(cast, padded))
    assert env.rollout(2)["observation"].tolist() == [[7, 0], [0, 1]]


def test_a_chain_gives_a_rollout_what_the_env_gives() -> None:
    def chain() -> Compose:
        return Compose(ToTensorImage(), CatFrames(3, -3))

    seen = TransformedEnv(FramesEnv(3), chain()).rollout(7, break_when_any_done=False)
    replayed = chain()(FramesEnv(3).rollout(7, break_when_any_done=False))
    for key in ("pixels", ("next", "pixels")):
        assert torch.equal(replayed[key], seen[key])


def test_the_height_of_a_frame_is_not_taken_for_its_channels() -> None:
    """Frames as simulators draw them have their channels last."""
    cure = r"dim=-3 of 'pixels' \[12, 10, 1\] is the height: the channels are last. Put ToTensorImage before it, or use"
    with pytest.raises(TransformError, match=cure):
        TransformedEnv(FramesEnv(), Compose(GrayScale(), CatFrames(4, -3)))
    env = TransformedEnv(FramesEnv(), Compose(GrayScale(), CatFrames(4, -1)))
    assert env.reset()["pixels"].shape == (12, 10, 4)
    with pytest.raises(TransformError, match=r"dim=-3 of 'pixels' \[12, 10, 3\] is the height"):
        CatFrames(4, -3)(FramesEnv().rollout(3))
    assert TransformedEnv(FramesEnv(), Compose(ToTensorImage(), CatFrames(4, -3))).reset()["pixels"].shape[0] == 12


def test_a_reward_has_no_first_value() -> None:
    with pytest.raises(TransformError, match="'reward' is a reward, which no reset shows"):
        TransformedEnv(CountingEnv(3), CatFrames(2, -1, ["reward"]))

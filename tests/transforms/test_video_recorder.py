"""VideoRecorder: keeps the frames that pass, for a video."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.to_tensor_image import ToTensorImage
from envcli.transforms.video_recorder import VideoRecorder


class Flipbook(CountingEnv):
    """Shows a frame of 8 x 6 pixels, all of which are ten times the count."""

    def _make_specs(self) -> None:
        super()._make_specs()
        shape = (*self.batch_size, 8, 6, 3)
        shown = self.observation_spec.clone()
        shown["pixels"] = Bounded(0, 255, shape=shape, dtype=torch.uint8, device=self.device)
        self.observation_spec = shown

    def _with_frame(self, result: TensorDictBase) -> TensorDictBase:
        count = result["observation"].to(torch.uint8)
        return result.set("pixels", (10 * count)[..., None, None].expand(*count.shape[:-1], 8, 6, 3).clone())

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return self._with_frame(super()._reset(tensordict, **options))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        return self._with_frame(super()._step(tensordict))


class Logger:
    """Keeps what it is given, beside a file, which cannot be copied."""

    def __init__(self) -> None:
        self.videos: list[tuple[str, torch.Tensor, int | None, dict[str, Any]]] = []
        self.file = io.TextIOWrapper(io.BytesIO())

    def log_video(self, name: str, video: torch.Tensor, step: int | None = None, **options: Any) -> None:
        self.videos.append((name, video, step, options))

    @property
    def grays(self) -> list[list[int]]:
        """The first pixel of each frame of each video."""
        return [video[0, :, 0, 0, 0].tolist() for _, video, _, _ in self.videos]


def dump(module: Any) -> None:
    if isinstance(module, VideoRecorder):
        module.dump()


@pytest.fixture
def logger() -> Logger:
    return Logger()


class TestRecorded(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Flipbook([2, 5], [2]), VideoRecorder(None, "play", skip=1))


class TestRenamed(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Flipbook(), VideoRecorder(None, "play", out_keys=["film"], dump_on_done=True))


def test_a_single_env_keeps_every_second_frame(logger: Logger) -> None:
    env = TransformedEnv(Flipbook(), Compose(VideoRecorder(logger, "play"), StepCounter()))
    shown = env.rollout(10)
    assert env.apply(dump) is env
    ((name, video, step, options),) = logger.videos
    assert (name, step, options) == ("play", 0, {})
    assert (video.shape, video.dtype) == ((1, 3, 3, 8, 6), torch.uint8)
    assert logger.grays == [[10, 30, 50]]
    assert shown["next", "pixels"][:, 0, 0, 0].tolist() == [10, 20, 30, 40, 50]


def test_by_hand_it_keeps_the_same(logger: Logger) -> None:
    env = TransformedEnv(Flipbook(), VideoRecorder(logger, "play", skip=1))
    td = env.reset()
    for _ in range(3):
        td = env.step_mdp(env.rand_step(td))
    env.transform.dump()
    assert logger.grays == [[0, 10, 20, 30]]


def test_what_the_logger_is_given(logger: Logger) -> None:
    env = TransformedEnv(Flipbook(), VideoRecorder(logger, "play", fps=12, quality=9))
    env.rollout(3)
    env.transform.dump(suffix="first")
    env.rollout(3)
    env.transform.dump(step=70)
    env.transform.dump()  # nothing was kept since
    assert [(name, step, options) for name, _, step, options in logger.videos] == [
        ("play_first", 0, {"fps": 12, "quality": 9}),
        ("play", 70, {"fps": 12, "quality": 9}),
    ]
    assert env.transform.iter == 3


def test_a_batch_is_a_grid_and_a_reset_of_some_adds_no_frame(logger: Logger) -> None:
    env = TransformedEnv(SerialEnv(3, [lambda: Flipbook(2), Flipbook, Flipbook]), VideoRecorder(logger, "play"))
    env.rollout(4, break_when_any_done=False)
    env.transform.dump()
    (video,) = (video for _, video, _, _ in logger.videos)
    assert video.shape == (1, 5, 3, 16, 12)
    assert video[0, :, 0, 0, 0].tolist() == [0, 10, 20, 10, 20]
    assert video[0, :, 0, 0, 6].tolist() == video[0, :, 0, 8, 0].tolist() == [0, 10, 20, 30, 40]
    assert (video[..., 8:, 6:] == 24).all()  # the gray between images


def test_without_a_grid(logger: Logger) -> None:
    env = TransformedEnv(Flipbook(9, [2]), VideoRecorder(logger, "play", make_grid=False))
    env.rollout(2)
    env.transform.dump()
    assert logger.grays == [[0, 0, 10, 10, 20, 20]]


def test_floats_are_shown_by_their_spec(logger: Logger) -> None:
    env = TransformedEnv(Flipbook(), Compose(ToTensorImage(), VideoRecorder(logger, "play", skip=1)))
    env.rollout(3)
    env.transform.dump()
    assert logger.grays == [[0, 10, 20, 30]]


def test_at_most_so_many_frames(logger: Logger) -> None:
    env = TransformedEnv(Flipbook(), VideoRecorder(logger, "play", skip=1, max_frames=2))
    env.rollout(5)
    env.transform.dump()
    env.rollout(5)
    env.transform.dump()
    assert logger.grays == [[0, 10], [0, 10]]


def test_a_video_of_each_episode(logger: Logger) -> None:
    env = TransformedEnv(Flipbook(3), VideoRecorder(logger, "play", skip=1, dump_on_done=True))
    env.rollout(7, break_when_any_done=False)
    assert logger.grays == [[0, 10, 20, 30], [0, 10, 20, 30]]
    assert len(env.transform.obs) == 2


def test_the_middle_of_each_frame(logger: Logger) -> None:
    recorder = VideoRecorder(logger, "play", center_crop=2)
    frame = torch.arange(48, dtype=torch.uint8).reshape(8, 6, 1).expand(8, 6, 3)
    recorder(TensorDict({"pixels": frame}))
    recorder.dump()
    assert logger.videos[0][1][0, 0, 0].tolist() == [[20, 21], [26, 27]]


def test_data_that_were_recorded(logger: Logger) -> None:
    recorder = VideoRecorder(logger, "play", in_keys=[("next", "pixels")])
    data = Flipbook().rollout(4)
    assert recorder(data) is data
    recorder.dump()
    assert logger.grays == [[10, 20, 30, 40]]


def test_copies_log_to_the_same_logger_and_begin_anew(logger: Logger) -> None:
    env = TransformedEnv(Flipbook(), VideoRecorder(logger, "play", skip=1))
    env.rollout(2)
    other = TransformedEnv(Flipbook(), env.transform.clone())
    other.rollout(3)
    other.transform.dump()
    assert logger.grays == [[0, 10, 20, 30]]
    assert len(env.transform.obs) == 3


def test_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="skip: expected at least 1, found 0"):
        VideoRecorder(None, "play", skip=0)
    with pytest.raises(TransformError, match="'pixels'"):
        TransformedEnv(CountingEnv(), VideoRecorder(None, "play"))

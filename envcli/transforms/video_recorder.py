"""Keeps the frames that pass, for a video."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError
from envcli.frames.image import Image, as_image, tiled
from envcli.frames.look import Look
from envcli.keys import Key, NestedKey, as_path, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import TensorSpec
from envcli.transforms.transform import Transform

__all__ = ["VideoLogger", "VideoRecorder"]


class VideoLogger(Protocol):
    """What writes videos down: any logger of TorchRL's, or an object of one's own with this method."""

    def log_video(self, name: str, video: torch.Tensor, step: int | None = None, **options: Any) -> None:
        """Write ``video``, ``[1, frames, 3, height, width]`` uint8."""


class VideoRecorder(Transform):
    """Nothing changes; but the frames that resets and steps show are kept, until :meth:`dump` has them logged.

    Frames may be ``[height, width, channels]`` or ``[channels, height, width]``, gray or coloured, uint8 or float; of
    a stack of them the newest is kept. (TorchRL's takes one or three channels, and floats of 0 to 1 become black.) In a
    batch, each frame of the video is the grid of all envs, and a reset of some of them adds none (TorchRL: one).

    A batch is recorded from outside, ``TransformedEnv(ParallelEnv(...), VideoRecorder(...))``: nobody would call
    ``dump`` in a worker.

    Args:
        logger: an object with ``log_video(name, video, step, **options)``, such as TorchRL's loggers; copies of this
            transform share it. None: ``dump`` only lets go of the frames.
        tag: what the video is called.
        in_keys: the frames; None: ``"pixels"``.
        skip: every so many are kept; None: 2 in a single env, 1 in a batch and outside an env.
        center_crop: side of the square that is kept of each frame, in pixels; None: all of it.
        make_grid: several frames at a time become one, side by side, instead of one after the other. None: in an env.
        out_keys: what they are called behind it; None: the same.
        fps: frames per second, handed to the logger; None: as it likes.
        max_frames: how many are kept at most; what comes later is left out. None: any number.
        dump_on_done: :meth:`dump` after each step that leaves all envs done.
        **options: more arguments of ``log_video``.

    Attributes:
        obs: the frames that are kept, ``[3, height, width]`` uint8 each.
        count: frames seen since the last :meth:`dump`.
        iter: how often :meth:`dump` was called: the video's step, if none is given.

    Raises:
        ConfigError: ``skip``, ``center_crop`` or ``max_frames`` is below 1.
    """

    def __init__(
        self,
        logger: VideoLogger | None,
        tag: str | None,
        in_keys: Sequence[NestedKey] | None = None,
        skip: int | None = None,
        center_crop: int | None = None,
        make_grid: bool | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        fps: int | None = None,
        max_frames: int | None = None,
        dump_on_done: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(["pixels"] if in_keys is None else in_keys, out_keys)
        self._require_pairs()
        for name, number in (("skip", skip), ("center_crop", center_crop), ("max_frames", max_frames)):
            if number is not None and number < 1:
                raise ConfigError(f"{name}: expected at least 1, found {number}")
        self.logger, self.tag = logger, tag
        self.skip, self.center_crop, self.make_grid, self.max_frames = skip, center_crop, make_grid, max_frames
        self.dump_on_done = dump_on_done
        self.video_kwargs = options if fps is None else {**options, "fps": fps}
        self.obs: list[torch.Tensor] = []
        self.count = self.iter = 0
        self._batch = torch.Size([1])
        self._looks: dict[Key, Look] = {}
        self._done_paths: list[Key] = [("done",)]

    # -- the video ------------------------------------------------------------------------------------------------

    def dump(self, suffix: str | None = None, step: int | None = None) -> None:
        """Log the frames since the last call as one video, ``[1, frames, 3, height, width]`` uint8, if there are any.

        Args:
            suffix: the video is called ``tag_suffix`` then.
            step: the logger's step; None: ``iter``.
        """
        frames, self.obs, self.count = self.obs, [], 0
        if frames and self.logger is not None:
            name = "_".join(filter(None, (self.tag, suffix)))
            step = self.iter if step is None else step
            self.logger.log_video(name=name, video=torch.stack(frames).unsqueeze(0), step=step, **self.video_kwargs)
        self.iter += 1

    def _take(self, value: torch.Tensor, look: Look) -> None:
        """Keep ``value``, ``[*lead, *frame]``, if it is its turn."""
        alone = self._container is not None and not self._batch
        self.count += 1
        if self.count % (self.skip or 1 + alone):
            return
        size = value.shape[-3:]
        images = [self._cropped(as_image(frame, look)) for frame in value.reshape(-1, *size)]
        if len(images) > 1 and (self._container is not None if self.make_grid is None else self.make_grid):
            images = [tiled(images, gap=0)]
        room = len(images) if self.max_frames is None else max(0, self.max_frames - len(self.obs))
        self.obs += [torch.from_numpy(np.moveaxis(image, -1, 0).copy()) for image in images[:room]]

    def _cropped(self, image: Image) -> Image:
        if self.center_crop is None:
            return image
        high, wide = (min(self.center_crop, size) for size in image.shape[:2])
        top, left = (image.shape[0] - high) // 2, (image.shape[1] - wide) // 2
        return image[top : top + high, left : left + wide]

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        self._batch = before.batch_size
        self._looks = {as_path(key): Look.of(before, key) for key in self.in_keys}
        self._done_paths = [path for path in before.full_done_spec.leaves() if path[-1] == "done"]

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        return leaf

    def _rewrites(self) -> set[Key]:
        new = set(map(as_path, self.out_keys)) - set(map(as_path, self.in_keys))
        return {*new, *map(under_next, new)}

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._root_rows = self._frames(inner, outer, ())
        self._next_rows = self._frames(inner, outer, ("next",))
        self._dones = [inner[under_next(path)] for path in self._done_paths]

    def _frames(
        self, inner: RolloutBuffer, outer: RolloutBuffer, prefix: Key
    ) -> list[tuple[torch.Tensor, torch.Tensor | None, Look]]:
        """Frames, where they go if they get another name, and how they are to be seen."""
        pairs = [(as_path(i), as_path(o)) for i, o in zip(self.in_keys, self.out_keys, strict=True)]
        return [
            (inner[*prefix, *i], None if i == o else outer[*prefix, *o], self._looks.get(i, Look())) for i, o in pairs
        ]

    def _step_row(self, t: int) -> None:
        for frames, named, look in self._next_rows:
            self._take(frames[t], look)
            if named is not None:
                named[t] = frames[t]
        if self.dump_on_done and all(bool(done[t].all()) for done in self._dones):
            self.dump()

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else torch.from_numpy(np.asarray(where))
        for frames, named, look in self._root_rows:
            if where is None or where.all():
                self._take(frames[t], look)
            if named is not None:
                named[t][mask] = frames[t][mask]

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        self._take(obs, Look())
        return obs

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Keep the frames ``[*lead, *frame]`` of ``tensordict``, which is returned as it is; those that it has."""
        return self._call(tensordict)

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        following = self._call(next_tensordict)
        dones = [following.get(path, None) for path in self._done_paths]
        if self.dump_on_done and all(done is not None and bool(done.all()) for done in dones):
            self.dump()
        return following

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        if mask is None or bool(mask.all()):
            return self._call(tensordict_reset)
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            tensordict_reset.set(out_key, tensordict_reset.get(in_key))
        return tensordict_reset

    # -- copies ---------------------------------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy that logs to the same logger, which may hold files, and has seen no frames yet."""
        other = type(self).__new__(type(self))
        memo[id(self)], memo[id(self.logger)] = other, self.logger
        own = {**self.__dict__, "obs": [], "count": 0}
        other.__dict__.update(copy.deepcopy(own, memo))
        return other

    def extra_repr(self) -> str:
        """Name and keys, for ``repr``."""
        return f"tag={self.tag!r}, keys={self.in_keys}"

"""Makes colours gray."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from envcli.errors import TransformError
from envcli.keys import NestedKey
from envcli.memory.buffer import Array, Recolour
from envcli.specs import Bounded, TensorSpec
from envcli.transforms.image import ByteRule, ImageTransform, channel_axis

__all__ = ["GrayScale"]

WEIGHTS = (0.2989, 0.587, 0.114)
"""Of red, green and blue: the luma of ITU-R BT.601, as torchvision rounds it. Their sum is 0.9999."""

_WEIGHTS = np.array(WEIGHTS, dtype=np.float32)
_HALF_A_STEP = 5e-5  # grays of whole numbers lie 1e-4 apart: this much makes truncation exact


class GrayScale(ImageTransform):
    """RGB ``[*lead, 3, height, width]`` becomes ``[*lead, 1, height, width]``: 0.2989 red + 0.587 green + 0.114 blue.

    Floats stay floats. uint8 stays uint8, cut off below the point as torchvision does, so that white is 254; the sum
    is exact. Frames as simulators draw them, uint8 ``[*lead, height, width, 3]``, become ``[*lead, height, width, 1]``.
    An image that has one channel already stays as it is.

    Args:
        in_keys, out_keys: see :class:`~envcli.transforms.image.ImageTransform`.

    Raises:
        TransformError: an image of another number of channels, or floats with their channels last.
    """

    _rounds = True

    def __init__(self, in_keys: Sequence[NestedKey] | None = None, out_keys: Sequence[NestedKey] | None = None) -> None:
        super().__init__(in_keys, out_keys)

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        axis = channel_axis(obs, "GrayScale")
        if obs.shape[axis] == 1:
            return obs
        if obs.shape[axis] != 3:
            raise TransformError(
                f"GrayScale takes [*lead, 3, height, width], found {list(obs.shape)}. Put ToTensorImage() before it "
                "where the channels are last"
            )
        if obs.dtype == torch.uint8:
            return gray_bytes(obs, axis)
        red, green, blue = obs.unbind(axis)
        return (red * WEIGHTS[0]).add_(green, alpha=WEIGHTS[1]).add_(blue, alpha=WEIGHTS[2]).unsqueeze(axis)

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        """Bounds as before: white is 254, but by 0 and 255 others (stable-baselines3) tell images from numbers."""
        after = super()._leaf_after(leaf)
        if not isinstance(leaf, Bounded) or not isinstance(after, Bounded):
            return after
        low, high = torch.minimum(after.low.min(), leaf.low.min()), torch.maximum(after.high.max(), leaf.high.max())
        return Bounded(low, high, shape=after.shape, device=leaf.device, dtype=after.dtype)

    def _of_frame(self, frame: torch.Tensor) -> torch.Tensor | None:
        return gray_of(frame, -1, scale=1 / 255).movedim(-1, -3)

    def _recolour(self) -> Recolour | None:
        return _gray_of_colours if self._may_join() else None

    def _on_bytes(self, shape: tuple[int, ...]) -> ByteRule | None:
        if channel_axis(torch.empty(shape, dtype=torch.uint8), "GrayScale") != -1 or shape[-1] == 4:
            return None
        if shape[-1] == 1:
            return lambda frame: frame
        colours, gray = np.empty(shape, np.float32), np.empty((*shape[:-1], 1), np.float32)

        def rule(frame: Array) -> Array:
            np.copyto(colours, frame)
            np.matmul(colours, _WEIGHTS, out=gray[..., 0])
            np.add(gray, _HALF_A_STEP, out=gray)
            return np.floor(gray, out=gray)

        return rule


def _gray_of_colours(colours: Array) -> Array:
    gray: Array = gray_bytes(torch.from_numpy(colours), -1)[..., 0].numpy()
    return gray


def gray_of(frame: torch.Tensor, axis: int, scale: float = 1.0) -> torch.Tensor:
    """``scale * gray`` of uint8 ``frame``, in float32; its channels, at ``axis``, become one."""
    if frame.is_cpu and axis == -1:  # 31 us for a frame of Atari where torch takes 66
        return torch.from_numpy(_weighted(frame, scale)).unsqueeze(-1)
    red, green, blue = frame.unbind(axis)
    gray = (red * (WEIGHTS[0] * scale)).add_(green, alpha=WEIGHTS[1] * scale).add_(blue, alpha=WEIGHTS[2] * scale)
    return gray.unsqueeze(axis)


def gray_bytes(frame: torch.Tensor, axis: int) -> torch.Tensor:
    """The gray of uint8 ``frame``, cut off below the point; its channels, at ``axis``, become one."""
    if not frame.is_cpu or axis != -1:
        return gray_of(frame, axis).add_(_HALF_A_STEP).to(torch.uint8)
    gray = _weighted(frame)
    cut = np.empty(gray.shape, np.uint8)
    np.add(gray, _HALF_A_STEP, out=cut, casting="unsafe")  # 6 us where torch's add and cast take 30
    return torch.from_numpy(cut).unsqueeze(-1)


def _weighted(frame: torch.Tensor, scale: float = 1.0) -> Array:
    gray: Array = frame.numpy().astype(np.float32) @ (_WEIGHTS * np.float32(scale))
    return gray

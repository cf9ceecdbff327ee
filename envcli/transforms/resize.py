"""Makes an image larger or smaller."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import interpolate

from envcli.errors import ConfigError
from envcli.keys import NestedKey
from envcli.memory.buffer import Array, as_array
from envcli.transforms.image import ByteRule, ImageTransform, channel_axis, height_and_width
from envcli.transforms.shrinking import Shrinking

__all__ = ["Resize"]

_SMOOTH = ("bilinear", "bicubic")
MODES = (*_SMOOTH, "nearest", "nearest-exact", "area")


class Resize(ImageTransform):
    """``[*lead, channels, height, width]`` becomes ``[*lead, channels, h, w]``.

    Floats are what torchvision's ``resize`` with ``antialias=True`` gives. uint8 stays uint8 and is computed in whole
    numbers where torch can, at a third of the cost: at most 1 away from the rounded float result. Frames as
    simulators draw them, uint8 ``[*lead, height, width, channels]``, become ``[*lead, h, w, channels]``.

    TorchRL 0.14 takes ``w`` for the height and ``h`` for the width, and needs torchvision. Here they are what they are
    called, and two different numbers without names are refused.

    Args:
        w, h: width and height of the result, in pixels; ``h`` None: a square.
        same: the side of a square once more, for those who write it twice.
        interpolation: ``"bilinear"`` or ``"bicubic"``, both antialiased; ``"nearest"`` or ``"nearest-exact"``;
            ``"area"``, the mean of ``torch.nn.functional.adaptive_avg_pool2d``.
        in_keys, out_keys: see :class:`~envcli.transforms.image.ImageTransform`.

    Raises:
        ConfigError: no such interpolation.
        TransformError: two different numbers without names; a size below 1; not an image; floats with channels last.
    """

    _rounds = True
    _channels_alike = True

    def __init__(
        self,
        w: int | None = None,
        *same: int,
        h: int | None = None,
        interpolation: str = "bilinear",
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys)
        self.h, self.w = height_and_width("Resize", w, same, h)
        if interpolation not in MODES:
            raise ConfigError(f"interpolation: expected one of {', '.join(MODES)}, found {interpolation!r}")
        self.interpolation = interpolation
        self._shrinkings: dict[tuple[int, int, int, int], Shrinking] = {}
        self._keeps_order = interpolation != "bicubic"  # which overshoots at edges

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        axis = channel_axis(obs, "Resize")
        images = obs if axis == -3 else obs.movedim(-1, -3)
        if images.shape[-2:] == (self.h, self.w):
            return obs
        flat = images.reshape(-1, *images.shape[-3:])
        resized = self._resized(flat).reshape(*images.shape[:-2], self.h, self.w)
        return resized if axis == -3 else resized.movedim(-3, -1)

    def _resized(self, images: torch.Tensor) -> torch.Tensor:
        """``[n, channels, height, width]`` -> ``[n, channels, h, w]`` of the same dtype."""
        if self._is_shrunk(images):
            return self._shrunk(images)
        if images.dtype.is_floating_point or self._takes_whole_numbers(images):
            return self._interpolated(images)
        limits = torch.iinfo(images.dtype)
        floats = self._interpolated(images.float())
        return floats.round_().clamp_(limits.min, limits.max).to(images.dtype)

    def _takes_whole_numbers(self, images: torch.Tensor) -> bool:
        """Does torch resize them as they are, faster and as well?

        One channel is slower in whole numbers than in floats. The bicubic method is cut to 0..255 between its two
        passes there, and up to 4 away from what it should be. To one pixel, torch 2.13 fails where the channels are
        first.
        """
        if images.dtype != torch.uint8 or not images.is_cpu or (self.h, self.w) == (1, 1):
            return False
        return self.interpolation.startswith("nearest") or (self.interpolation == "bilinear" and images.shape[1] > 1)

    def _interpolated(self, images: torch.Tensor) -> torch.Tensor:
        return interpolate(images, [self.h, self.w], mode=self.interpolation, antialias=self.interpolation in _SMOOTH)

    def _is_shrunk(self, images: torch.Tensor) -> bool:
        """Is it made smaller on the host, and of a dtype that :class:`Shrinking` is fastest for?"""
        _, channels, height, width = images.shape
        fast = images.dtype == torch.float32 or (images.dtype == torch.uint8 and channels == 1)
        return self.interpolation == "bilinear" and fast and images.is_cpu and self.h <= height and self.w <= width

    def _shrunk(self, images: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = images.shape
        sizes = height, width, self.h, self.w
        shrinking = self._shrinkings.get(sizes)
        if shrinking is None:
            shrinking = self._shrinkings[sizes] = Shrinking(*sizes)
        planes = as_array(images).reshape(n * channels, height, width)
        small = shrinking(np.ascontiguousarray(planes, dtype=np.float32))
        if images.dtype == torch.uint8:  # means of bytes: no rounding carries them past 0 or 255
            small = np.rint(small, out=small).astype(np.uint8)
        return torch.from_numpy(small).view(n, channels, self.h, self.w)

    def _on_bytes(self, shape: tuple[int, ...]) -> ByteRule | None:
        *lead, height, width, channels = shape
        frame = torch.empty(shape, dtype=torch.uint8)
        gray = channels == 1 and channel_axis(frame, "Resize") == -1
        if not gray or not self._is_shrunk(frame.view(-1, 1, height, width)):
            return None
        shrinking = Shrinking(height, width, self.h, self.w)
        n = frame.numel() // (height * width)

        def rule(frame: Array) -> Array:
            small = shrinking(np.ascontiguousarray(frame.reshape(n, height, width), np.float32))
            return np.rint(small, out=small).reshape(*lead, self.h, self.w, 1)

        return rule

    def extra_repr(self) -> str:
        """Size, method and keys."""
        return f"w={self.w}, h={self.h}, interpolation={self.interpolation}, {super().extra_repr()}"

"""Cuts the middle out of an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from envcli.keys import NestedKey
from envcli.transforms.crop import cut
from envcli.transforms.image import ImageTransform, channel_axis, height_and_width

__all__ = ["CenterCrop"]


class CenterCrop(ImageTransform):
    """The rectangle ``h`` high and ``w`` wide in the middle of an image.

    It begins ``round((height - h) / 2)`` pixels down (halves to the even number, as torchvision does); one that is
    larger than the image is filled up with 0. (TorchRL 0.14 takes ``w`` for the height and ``h`` for the width.)

    Args:
        w, h: width and height of the result, in pixels; ``h`` None: a square.
        same: the side of a square once more, for those who write it twice.
        in_keys, out_keys: see :class:`~envcli.transforms.image.ImageTransform`.

    Raises:
        TransformError: two different numbers without names; a size below 1; not an image.
    """

    _channels_alike = True

    def __init__(
        self,
        w: int | None = None,
        *same: int,
        h: int | None = None,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys)
        self.h, self.w = height_and_width("CenterCrop", w, same, h)

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        axis = channel_axis(obs, "CenterCrop")
        height, width = obs.shape[-2:] if axis == -3 else obs.shape[-3:-1]
        return cut(obs, axis, _start(height, self.h), _start(width, self.w), self.h, self.w)

    def extra_repr(self) -> str:
        """Size and keys."""
        return f"w={self.w}, h={self.h}, {super().extra_repr()}"


def _start(whole: int, part: int) -> int:
    if part > whole:  # torchvision fills up first, with the smaller half before the image
        return -((part - whole) // 2)
    return round((whole - part) / 2)

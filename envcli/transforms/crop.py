"""Cuts a rectangle out of an image."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch

from envcli.keys import NestedKey
from envcli.specs import TensorSpec
from envcli.transforms.image import ImageTransform, channel_axis, height_and_width

__all__ = ["Crop", "cut"]


class Crop(ImageTransform):
    """The rectangle ``h`` high and ``w`` wide whose upper left corner is ``top`` pixels down and ``left`` to the right.

    What lies outside the image is 0, as in torchvision; an env warns where that is all. (TorchRL 0.14 takes ``w`` for
    the height and ``h`` for the width.)

    Args:
        w, h: width and height of the result, in pixels; ``h`` None: a square.
        same: the side of a square once more, for those who write it twice.
        top, left: where it begins, in pixels.
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
        top: int = 0,
        left: int = 0,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys)
        self.h, self.w = height_and_width("Crop", w, same, h)
        self.top, self.left = top, left

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return cut(obs, channel_axis(obs, "Crop"), self.top, self.left, self.h, self.w)

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        axis = channel_axis(leaf.zero(), "Crop")
        height, width = leaf.shape[-2:] if axis == -3 else leaf.shape[-3:-1]
        if not (-self.h < self.top < height and -self.w < self.left < width):
            warnings.warn(
                f"{self!r}: nothing is left of the image, {height} pixels high and {width} wide: all are 0",
                stacklevel=2,
            )
        return super()._leaf_after(leaf)

    def extra_repr(self) -> str:
        """Size, place and keys."""
        return f"w={self.w}, h={self.h}, top={self.top}, left={self.left}, {super().extra_repr()}"


def cut(image: torch.Tensor, channels: int, top: int, left: int, h: int, w: int) -> torch.Tensor:
    """``[*lead, channels, h, w]`` (or with the channels last) out of ``image``: a view, unless it reaches outside."""
    rows, columns = (-2, -1) if channels == -3 else (-3, -2)
    height, width = image.shape[rows], image.shape[columns]
    up, down = max(top, 0), min(top + h, height)
    start, stop = max(left, 0), min(left + w, width)
    inside = image.narrow(rows, min(up, height), max(down - up, 0)).narrow(
        columns, min(start, width), max(stop - start, 0)
    )
    if inside.shape[rows] == h and inside.shape[columns] == w:
        return inside
    shape = list(image.shape)
    shape[rows], shape[columns] = h, w
    whole = image.new_zeros(shape)
    if inside.numel():
        place = whole.narrow(rows, up - top, inside.shape[rows]).narrow(columns, start - left, inside.shape[columns])
        place.copy_(inside)
    return whole

"""Images: ``[height, width, 3]`` uint8 arrays, and what is put together from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from envcli.errors import SpecError

__all__ = ["Image", "as_image", "captioned", "narrowed", "resized", "side_by_side", "tiled", "zoomed"]

Image: TypeAlias = npt.NDArray[np.uint8]

_LEGIBLE = 210  # pixels of height below which a frame is enlarged: Atari's own size
_PAPER = 24  # the gray between images and under captions


def as_image(value: torch.Tensor) -> Image:
    """A frame as an env or its transforms show it, as an image.

    Args:
        value: ``[height, width]``, ``[height, width, channels]`` or ``[channels, height, width]``; integers count from
            0 to 255, floats from 0 to 1. One channel is gray, three are colours; of a stack of more, the last is
            shown, which is the newest.

    Raises:
        SpecError: another shape.
    """
    array = value.detach().cpu().numpy()
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise SpecError(f"a frame must be [height, width, 3] or [channels, height, width], found {list(value.shape)}")
    if array.shape[-1] not in (1, 3):  # channels first, the last dimension is a width
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] not in (1, 3):
        array = array[..., -1:]
    if np.issubdtype(array.dtype, np.floating):
        array = np.nan_to_num(array) * 255
    if array.dtype != np.uint8:  # 400 x 600 pixels take 14 ms to round, and there may be 64 such in a frame
        array = np.clip(np.rint(array), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def zoomed(image: Image) -> Image:
    """``image``, each pixel repeated as often as it takes to be seen; one that is large enough as it is."""
    factor = max(1, math.ceil(_LEGIBLE / image.shape[0])) if image.shape[0] <= _LEGIBLE // 2 else 1
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def resized(image: Image, height: int, width: int) -> Image:
    """``image`` at another size, antialiased."""
    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.LANCZOS))


def narrowed(image: Image, width: int) -> Image:
    """``image``, made smaller if it is wider than ``width``."""
    high, wide = image.shape[:2]
    return image if wide <= width else resized(image, max(round(high * width / wide), 1), width)


def side_by_side(images: Sequence[Image], gap: int = 4) -> Image:
    """The images in a row, as high as the highest, which the others are enlarged to."""
    height = max(len(image) for image in images)
    row: list[Image] = []
    for image in images:
        if row:
            row.append(np.full((height, gap, 3), _PAPER, dtype=np.uint8))
        same = len(image) == height
        row.append(image if same else resized(image, height, round(image.shape[1] * height / len(image))))
    return np.concatenate(row, axis=1)


def tiled(images: Sequence[Image], columns: int | None = None, gap: int = 4) -> Image:
    """The images in a grid, row by row, as square as they allow; each cell is as large as the largest image."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    high, wide = (max(image.shape[axis] for image in images) for axis in (0, 1))
    sheet = np.full((rows * (high + gap) - gap, columns * (wide + gap) - gap, 3), _PAPER, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (high + gap), i % columns * (wide + gap)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def captioned(image: Image, text: str) -> Image:
    """``image`` with a line of ``text`` below it."""
    font = ImageFont.load_default(size=13)
    strip = Pillow.new("RGB", (image.shape[1], 20), (_PAPER, _PAPER, _PAPER))
    ImageDraw.Draw(strip).text((4, 2), text, fill=(235, 235, 235), font=font)
    return np.concatenate([image, np.asarray(strip)])

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
from envcli.frames.channels import channels_last
from envcli.frames.look import Look

__all__ = ["Image", "as_image", "captioned", "narrowed", "resized", "side_by_side", "tiled", "zoomed"]

Image: TypeAlias = npt.NDArray[np.uint8]

_UNKNOWN = Look()
_LEGIBLE = 210  # pixels of height below which a frame is enlarged: Atari's own size
_PAPER = 24  # the gray between images and under captions


def as_image(value: torch.Tensor, look: Look = _UNKNOWN) -> Image:
    """A frame as an env or its transforms show it, as an image.

    Args:
        value: ``[height, width]``, ``[height, width, channels]`` or ``[channels, height, width]``, see
            :func:`~envcli.frames.channels.channels_last`. One channel is gray, three are colours, the fourth is
            opacity, which is left out. Of a stack of images the newest is shown, the last; where ``look`` does not know
            of one, that is the last gray of four channels that come first, and of more the last colours if they are a
            multiple of three, else the last gray.
        look: which values are black and white; where it does not know, :meth:`~envcli.frames.look.Look.seeing`.

    Raises:
        SpecError: another shape.
    """
    look, array = look.seeing(value), value.detach().cpu().numpy()
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise SpecError(f"a frame must be [height, width, 3] or [channels, height, width], found {list(value.shape)}")
    last = channels_last(array.shape)
    if not last:
        array = np.moveaxis(array, 0, -1)
    array = array[..., _newest(array.shape[-1], look.stack, last)]
    low, high = look.low or 0.0, 255.0 if look.high is None else look.high
    if (low, high) != (0.0, 255.0):
        array = (np.clip(np.nan_to_num(array.astype(np.float32), nan=low), low, high) - low) * (255 / (high - low))
    if array.dtype != np.uint8:  # 400 x 600 pixels take 14 ms to round, and there may be 64 such in a frame
        array = np.clip(np.rint(np.nan_to_num(array)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _newest(count: int, stack: int | None, last: bool) -> slice:
    """The one or three of ``count`` channels that are shown."""
    known = stack is not None and count % stack == 0
    each = count // stack if stack is not None and known else count
    if each == 4 and (known or last):
        return slice(count - 4, count - 1)
    return slice(count - 3 if each % 3 == 0 else count - 1, count)


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

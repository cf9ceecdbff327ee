"""Rendered frames as an entry of the observation, whoever draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from envcli.errors import ConfigError
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.specs import Bounded, Composite

__all__ = ["PIXELS", "FrameSize", "Pixels", "Unwritten", "frame_size", "image_spec"]

PIXELS: Key = ("pixels",)
"""The key of what an env shows as an image."""

FrameSize: TypeAlias = int | Sequence[int]
"""``[height, width]`` in pixels; one number is a square."""


class Pixels:
    """Frames ``[height, width, 3]``, uint8, beside or instead of the state: after a reset the first, then one a step.

    Args:
        render: gives the present frame. It is called once here, to see how large it is; its memory may be its own.
        where: the env, for messages.
        several: ``render`` gives a sequence of frames, one for each env of a batch.

    Raises:
        ConfigError: ``render`` gives something else than an image.
    """

    # Any: a foreign library's answer, checked here
    def __init__(self, render: Callable[[], Any], where: str, *, several: bool = False) -> None:
        self._render = render
        frame = render()[0] if several else render()
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
            found = (
                f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else f"a {type(frame).__name__}"
            )
            raise ConfigError(f"pixels of {where}: expected a frame [height, width, 3] of uint8, found {found}")
        self.shape = torch.Size(frame.shape)

    def added_to(self, shown: Composite, only: bool) -> Composite:
        """What the env shows with the frames beside it, or with the frames ``only``.

        Raises:
            ConfigError: the env shows ``"pixels"`` of its own.
        """
        kept = {} if only else dict(shown.items())
        if "pixels" in kept:
            raise ConfigError("from_pixels: the observation already has an entry 'pixels'. Type: from_pixels=false")
        return Composite({**kept, "pixels": image_spec(self.shape, shown.device)}, device=shown.device)

    def bind(self, buffer: RolloutBuffer) -> None:
        """Remember the rows of ``buffer``."""
        self._first, self._following = buffer.array(PIXELS), buffer.array(("next", *PIXELS))

    def show_first(self, t: int, where: Array | None = None) -> None:
        """Row ``t`` of the root becomes the present frame: of the envs in ``where``, ``[batch]`` bool, or of all."""
        self._show(self._first[t], where)

    def show_next(self, t: int, where: Array | None = None) -> None:
        """Row ``t`` of next becomes the present frame, see :meth:`show_first`."""
        self._show(self._following[t], where)

    def _show(self, row: Array, where: Array | None) -> None:
        frames = self._render()
        if where is None:
            row[...] = frames
        else:
            for i in where.nonzero()[0]:
                row[i] = frames[i]


class Unwritten:
    """Stands where the rows of an entry would, for a state that is not shown: ``rows[t] = value`` does nothing."""

    def __setitem__(self, t: int, value: Any, /) -> None:  # Any: whatever is not wanted
        return


def image_spec(shape: Sequence[int], device: torch.device | None = None) -> Bounded:
    """uint8 from 0 to 255, ``shape``."""
    return Bounded(0, 255, shape=torch.Size(shape), device=device, dtype=torch.uint8)


def frame_size(size: FrameSize) -> tuple[int, int]:
    """Height and width.

    Raises:
        ConfigError: not one or two whole numbers of at least 1.

    >>> frame_size(84), frame_size([240, 320])
    ((84, 84), (240, 320))
    """
    numbers = [size, size] if isinstance(size, int) else list(size)
    if len(numbers) != 2 or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in numbers):
        raise ConfigError(f"pixel_size: expected [height, width] in pixels, found {size!r}. Type: pixel_size=[240,320]")
    return numbers[0], numbers[1]

"""Where an image has its channels: the one rule, of transforms and of films."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["CHANNELS", "channels_last"]

CHANNELS = (1, 3, 4)
"""How many channels one image has: gray, RGB, RGB and opacity."""


def channels_last(shape: Sequence[int]) -> bool:
    """Is an image of this ``shape`` ``[*lead, height, width, channels]``, and not ``[*lead, channels, height, width]``?

    The channels are the dimension that is 1, 3 or 4 long; where neither is, as in a stack of images, the shorter one.
    Where both are, they are first.

    >>> channels_last([210, 160, 3]), channels_last([4, 84, 84]), channels_last([9, 84, 84]), channels_last([84, 84, 9])
    (True, False, False, True)
    """
    first, height_or_width, last = shape[-3:]
    if (first in CHANNELS) != (last in CHANNELS):
        return last in CHANNELS
    return first not in CHANNELS and last < min(first, height_or_width)

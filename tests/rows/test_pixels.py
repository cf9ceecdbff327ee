"""Frames as an entry of the observation, whoever draws them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from envcli.errors import ConfigError
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.pixels import Pixels, Unwritten, frame_size, image_spec
from envcli.specs import Composite, Unbounded


class Film:
    """Each frame is one brighter than the last, in memory of its own that is used again."""

    def __init__(self) -> None:
        self.frame = np.zeros((2, 3, 3), np.uint8)

    def __call__(self) -> Any:
        self.frame += 1
        return self.frame


def test_frames_are_copied_into_their_rows() -> None:
    pixels = Pixels(Film(), "a film")  # takes the first, to see how large it is
    row = (torch.Size([2, 3, 3]), torch.uint8)
    buffer = RolloutBuffer.allocate({("pixels",): row, ("next", "pixels"): row}, 2, torch.Size([]))
    pixels.bind(buffer)
    pixels.show_first(0)
    pixels.show_next(0)
    pixels.show_next(1)
    assert buffer["pixels",][:, 0, 0, 0].tolist() == [2, 0]
    assert buffer["next", "pixels"][:, 1, 2, 2].tolist() == [3, 4]


def test_a_spec_with_frames_or_of_frames_only() -> None:
    pixels = Pixels(Film(), "a film")
    state = Composite(state=Unbounded(torch.Size([4])))
    both = pixels.added_to(state, only=False)
    assert list(both.keys()) == ["state", "pixels"]
    assert both["pixels"] == image_spec((2, 3, 3))
    assert list(pixels.added_to(state, only=True).keys()) == ["pixels"]
    with pytest.raises(ConfigError, match="already has an entry 'pixels'"):
        pixels.added_to(both, only=False)


@pytest.mark.parametrize("size", [0, -3, True, [84], [84, 84, 3], [84.0, 84], ["84", 84], []])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match=r"pixel_size: expected \[height, width\]"):
        frame_size(size)


def test_what_is_not_wanted_is_not_written() -> None:
    rows = Unwritten()
    rows[3] = object()
    assert vars(rows) == {}

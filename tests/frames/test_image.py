from __future__ import annotations

import numpy as np
import pytest
import torch

from envcli.errors import SpecError
from envcli.frames.image import as_image, captioned, resized, side_by_side, tiled, zoomed
from envcli.frames.look import Look


def plain(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (torch.full((5, 4, 3), 7, dtype=torch.uint8), 7),
        (torch.full((3, 5, 4), 7, dtype=torch.uint8), 7),
        (torch.full((5, 4), 7, dtype=torch.uint8), 7),
        (torch.full((1, 5, 4), 0.2), 51),
        (torch.full((3, 5, 4), 2.0), 2),  # beyond 1: they count to 255
        (torch.full((3, 5, 4), float("nan")), 0),
        (torch.arange(4, dtype=torch.uint8)[:, None, None].expand(4, 5, 6), 3),  # a stack: the newest
    ],
)
def test_every_way_to_show_a_frame(frame: torch.Tensor, expected: int) -> None:
    image = as_image(frame)
    assert image.dtype == np.uint8
    assert image.shape[0] == 5
    assert image.shape[2] == 3
    assert (image == expected).all()


RED = torch.tensor([255, 0, 0], dtype=torch.uint8).expand(40, 30, 3)
BLACK = torch.zeros_like(RED)


@pytest.mark.parametrize("look", [Look(stack=3), Look()])
def test_of_a_stack_of_colours_the_newest_is_shown_in_colour(look: Look) -> None:
    last = torch.cat([BLACK, BLACK, RED], -1)
    for stack in (last, last.permute(2, 0, 1), last.permute(2, 0, 1) / 255):
        image = as_image(stack, look)
        assert image.shape == (40, 30, 3)
        assert (image == [255, 0, 0]).all()


def test_opacity_is_left_out() -> None:
    frame = torch.cat([RED, torch.full((40, 30, 1), 7, dtype=torch.uint8)], -1)
    for shown, look in ((frame, Look()), (frame.permute(2, 0, 1), Look(stack=1))):
        assert (as_image(shown, look) == [255, 0, 0]).all()
    assert (as_image(frame.permute(2, 0, 1)) == 7).all()  # four grays, as far as anybody knows
    assert (as_image(frame, Look(stack=4)) == 7).all()
    assert (as_image(torch.cat([frame * 0, frame], -1), Look(stack=2)) == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("value", "look", "expected"),
    [
        (100.0, Look(), 100),
        (0.5, Look(0, 255), 0),
        (50.0, Look(0, 200), 64),
        (0.5, Look(-1, 1), 191),
        (2.0, Look(0, 1), 255),
        (float("nan"), Look(-1, 1), 0),
        (float("inf"), Look(0, 1), 255),
    ],
)
def test_the_look_says_what_is_white(value: float, look: Look, expected: int) -> None:
    assert (as_image(torch.full((3, 5, 4), value), look) == expected).all()


def test_colours_stay_where_they_are() -> None:
    frame = torch.zeros(2, 2, 3, dtype=torch.uint8)
    frame[0, 1] = torch.tensor([1, 2, 3])
    for shown in (frame, frame.permute(2, 0, 1)):
        assert as_image(shown)[0, 1].tolist() == [1, 2, 3]


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(SpecError, match=r"found \[3\]"):
        as_image(torch.zeros(3))


def test_a_small_image_is_enlarged_by_whole_pixels() -> None:
    image = np.arange(84 * 84 * 3, dtype=np.uint8).reshape(84, 84, 3)
    large = zoomed(image)
    assert large.shape == (252, 252, 3)
    assert (large[::3, ::3] == image).all()
    assert zoomed(plain(210, 160, 0)).shape == (210, 160, 3)


def test_a_row_is_as_high_as_its_highest() -> None:
    row = side_by_side([plain(40, 20, 9), plain(10, 10, 200)])
    assert row.shape == (40, 20 + 4 + 40, 3)
    assert (row[:, :20] == 9).all()
    assert (row[:, 24:] == 200).all()


def test_a_grid_keeps_the_order() -> None:
    grid = tiled([plain(2, 2, value) for value in (1, 2, 3)], gap=1)
    assert grid.shape == (5, 5, 3)
    assert [grid[0, 0, 0], grid[0, 3, 0], grid[3, 0, 0]] == [1, 2, 3]


def test_a_caption_stands_below() -> None:
    image = captioned(plain(30, 100, 0), "step 7")
    assert image.shape == (50, 100, 3)
    assert not image[:30].any()
    assert image[30:].max() > 200


def test_resized() -> None:
    assert resized(plain(10, 20, 5), 3, 7).shape == (3, 7, 3)

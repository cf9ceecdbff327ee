from __future__ import annotations

import io
import time

import numpy as np

from envcli.frames.preview import Preview, blocks
from envcli.frames.scene import Frame


def test_two_pixels_a_character() -> None:
    image = np.zeros((4, 2, 3), dtype=np.uint8)
    image[2:] = 9
    lines = blocks(image, 2).split("\n")
    assert [line.count("▀") for line in lines] == [2, 2]
    assert "38;2;9;9;9;48;2;9;9;9m" in lines[1]


def test_draws_over_itself_at_the_pace_of_the_film() -> None:
    stream = io.StringIO()
    preview = Preview(stream, fps=50)
    start = time.perf_counter()
    for step in range(3):
        preview.show(Frame(np.zeros((8, 8, 3), dtype=np.uint8), 0, step, 0.0, 0.0))
    assert time.perf_counter() - start >= 0.058
    shown = stream.getvalue()
    assert shown.count("\x1b[5F") == 2  # four lines of picture and the caption
    assert "step 2" in shown

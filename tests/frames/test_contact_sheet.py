from __future__ import annotations

import numpy as np
import pytest

from envcli.frames.contact_sheet import ContactSheet
from envcli.frames.scene import Frame


def sheet(count: int) -> ContactSheet:
    collected = ContactSheet()
    for i in range(count):
        collected.add(Frame(np.full((30, 40, 3), i % 256, dtype=np.uint8), 0, i, 0.0, 0.0))
    return collected


def test_a_short_film_is_shown_whole() -> None:
    assert sheet(3).drawn().shape == (180 + 20, 3 * 240 + 2 * 8, 3)


@pytest.mark.parametrize("count", [2, 15, 16, 17, 18, 31, 200, 255, 256, 257, 301, 511, 512, 1000, 1001, 4097, 9999])
def test_a_film_of_any_length_is_shown_from_beginning_to_end_in_equal_steps(count: int) -> None:
    collected = sheet(count)
    steps = [frame.step for frame in collected._chosen()]
    assert min(count, 9) <= len(steps) <= 16
    assert (steps[0], steps[-1]) == (0, count - 1)
    gaps = np.diff(steps[:-1])
    assert len(set(gaps)) <= 1
    assert steps[-1] - steps[-2] <= 1.2 * max(gaps, default=1)
    assert collected.drawn().shape[1] == min(4, count) * 240 + (min(4, count) - 1) * 8


def test_the_poster_is_from_the_middle() -> None:
    assert 80 < sheet(200).poster()[0, 0, 0] < 120

from __future__ import annotations

import numpy as np

from envcli.frames.contact_sheet import ContactSheet
from envcli.frames.scene import Frame


def sheet(count: int) -> ContactSheet:
    collected = ContactSheet()
    for i in range(count):
        collected.add(Frame(np.full((30, 40, 3), i % 256, dtype=np.uint8), 0, i, 0.0, 0.0))
    return collected


def test_a_short_film_is_shown_whole() -> None:
    assert sheet(3).drawn().shape == (180 + 20, 3 * 240 + 2 * 8, 3)


def test_a_long_film_is_shown_from_beginning_to_end() -> None:
    collected = sheet(1000)
    steps = [frame.step for frame in collected._chosen()]
    assert len(steps) == 16
    assert steps[0] == 0
    assert steps[-1] == 999
    gaps = np.diff(steps[:-1])
    assert gaps.max() <= 2 * gaps.min()
    assert collected.drawn().shape[1] == 4 * 240 + 3 * 8


def test_the_poster_is_from_the_middle() -> None:
    assert 80 < sheet(200).poster()[0, 0, 0] < 120

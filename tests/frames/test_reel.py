from __future__ import annotations

import numpy as np

from envcli.frames.reel import Reel


def image(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, dtype=np.uint8)


def test_the_last_shot_stands_and_ends_nothing_twice() -> None:
    reel = Reel()
    reel.begin(image(0))
    reel.step(image(1), 0.5, ends=True)
    assert (len(reel), reel.begins) == (2, True)
    shots = [reel.shown() for _ in range(3)]
    assert [shot.image[0, 0, 0] for shot in shots] == [0, 1, 1]
    assert [shot.ends for shot in shots] == [False, True, False]
    assert [(shot.episode, shot.step, shot.total) for shot in shots] == [(0, 0, 0.0), (0, 1, 0.5), (0, 1, 0.5)]


def test_what_is_kept_has_memory_of_its_own() -> None:
    reel, memory = Reel(), image(1)
    reel.begin(memory)
    reel.keep()
    memory[:] = 9
    assert reel.shown().image[0, 0, 0] == 1

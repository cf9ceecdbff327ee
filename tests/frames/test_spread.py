from __future__ import annotations

import numpy as np
import pytest

from envcli.frames.spread import Spread


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17, 100, 1023, 1024, 1025])
def test_what_is_kept_and_the_few_of_it_are_equally_far_apart(count: int) -> None:
    spread = Spread[int](8)
    for value in range(count):
        if spread.wants():
            spread.kept.append(value)
    assert min(count, 8) <= len(spread.kept) <= 16
    for values, most in ((spread.kept, 16), (spread.few(5), 5)):
        assert values[0] == 0
        assert len(values) <= most
        assert len(set(np.diff(values))) <= 1
    assert len(spread.few(5)) >= min(count, 3)

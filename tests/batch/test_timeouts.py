from __future__ import annotations

import pytest

from envcli.batch.timeouts import Timeouts


@pytest.mark.parametrize(
    ("word", "seconds"), [("build", 1), ("close", 3), ("set_seeds", 2), ("call", 2), ("bind", 2), ("", 2)]
)
def test_each_word_has_the_patience_of_its_kind(word: str, seconds: int) -> None:
    assert Timeouts(start=1, step=2, close=3).of(word) == seconds

"""The chain of seeds."""

from __future__ import annotations

import pytest

from envcli.seeding import next_seed, seed_chain


def test_the_chain_of_the_tutorial() -> None:
    assert seed_chain(10, 3) == [10, 3316746426, 2460402094, 3288080526]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 2])
def test_a_seed_fits_everywhere_and_differs_from_the_one_before(seed: int) -> None:
    following = next_seed(seed)
    assert 0 <= following < 2**32 - 1
    assert following != seed
    assert next_seed(seed) == following


def test_a_chain_can_be_taken_up_anywhere() -> None:
    whole = seed_chain(3, 5)
    assert seed_chain(whole[2], 3) == whole[2:]
    assert seed_chain(3, 0) == [3]

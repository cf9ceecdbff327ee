"""The chain of seeds."""

from __future__ import annotations

import pytest
import torch

from envcli.seeding import drawing_from, next_seed, seed_chain


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


def test_what_is_drawn_from_a_seed_leaves_no_trace() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    found = [torch.rand(()).item()]
    for _ in range(2):
        with drawing_from(7):
            found.append(torch.rand(()).item())
    with pytest.raises(ZeroDivisionError), drawing_from(7):
        raise ZeroDivisionError
    found.append(torch.rand(()).item())
    assert [found[0], found[-1]] == expected
    assert found[1] == found[2]

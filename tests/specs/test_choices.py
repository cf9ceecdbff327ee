"""Which choices are allowed."""

from __future__ import annotations

import pytest
import torch

from envcli.errors import SpecError
from envcli.specs.choices import Choices

CPU = torch.device("cpu")


def test_one_count_for_all() -> None:
    torch.manual_seed(0)
    choices = Choices(3, None, CPU)
    assert choices.draw((300,)).unique().tolist() == [0, 1, 2]
    assert choices.allow(torch.tensor([0, 2]))
    assert not choices.allow(torch.tensor([0, 3]))
    assert choices.allow(torch.zeros(0, dtype=torch.int64))


def test_a_count_for_each() -> None:
    torch.manual_seed(0)
    choices = Choices(torch.tensor([1, 4]), None, CPU)
    assert choices.draw((300, 2)).amax(0).tolist() == [0, 3]
    assert choices.nearest(torch.tensor([5.0, 2.6])).tolist() == [0, 3]


def test_a_mask_in_pieces() -> None:
    mask = torch.tensor([True, False, False, True, True])
    assert Choices.split(mask, [2, 3]).tolist() == [[True, False, False], [False, True, True]]
    assert Choices.split(mask.expand(4, 5), [2, 3]).shape == (4, 2, 3)


def test_the_best_of_what_is_allowed() -> None:
    choices = Choices(3, torch.tensor([False, True, True]), CPU)
    assert choices.best(torch.tensor([[9, 1, 2], [9, 1, 1]])).tolist() == [2, 1]


def test_nothing_to_choose_from() -> None:
    with pytest.raises(SpecError, match="at least one choice"):
        Choices(2, torch.tensor([[True, True], [False, False]]), CPU)

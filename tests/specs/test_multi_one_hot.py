"""MultiOneHot: one-hot vectors side by side."""

from __future__ import annotations

import math

import pytest
import torch

from envcli.errors import SpecError
from envcli.specs import BoxList, CategoricalBox, MultiCategorical, MultiOneHot

MASK = torch.tensor([True, False, False, True, True])


def bits(text: str) -> torch.Tensor:
    return torch.tensor([letter == "1" for letter in text])


def test_what_it_is() -> None:
    spec = MultiOneHot([2, 3])
    assert (spec.shape, spec.dtype, spec.nvec, spec.cardinality()) == ((5,), torch.bool, (2, 3), 6)
    assert spec.space == BoxList((CategoricalBox(2), CategoricalBox(3)))
    assert MultiOneHot([2, 3]) != MultiOneHot([3, 2])


@pytest.mark.parametrize("nvec", [[], [0, 2], [[2, 3]], 3])
def test_impossible_numbers_are_refused(nvec: object) -> None:
    with pytest.raises(SpecError, match="row of positive integers"):
        MultiOneHot(nvec)


def test_the_shape_must_end_with_the_sum() -> None:
    assert MultiOneHot([2, 3], (4, 5)).shape == (4, 5)
    with pytest.raises(SpecError, match=r"must end with 5, found \[4\]"):
        MultiOneHot([2, 3], (4,))


def test_members() -> None:
    spec = MultiOneHot([2, 3])
    assert spec.is_in(bits("10001"))
    for wrong in ("00001", "11001", "10000", "10011", "00000"):
        assert not spec.is_in(bits(wrong))
    assert not MultiOneHot([2, 3], dtype=torch.float32).is_in(torch.tensor([0.5, 0.5, 1, 0, 0]))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_every_choice_is_equally_likely(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    spec = MultiOneHot([2, 5], (3, 7), dtype=dtype)
    draws = spec.rand((2000,))
    assert draws.dtype == dtype
    assert spec.is_in(draws)
    shares = draws.double().mean((0, 1))
    assert shares.tolist() == pytest.approx([0.5] * 2 + [0.2] * 5, abs=0.03)


def test_masks() -> None:
    torch.manual_seed(0)
    spec = MultiOneHot([2, 3], mask=MASK)
    shares = spec.rand((2000,)).double().mean(0)
    assert shares.tolist() == pytest.approx([1, 0, 0, 0.5, 0.5], abs=0.06)
    assert not spec.is_in(bits("01010"))
    assert torch.equal(spec.zero(), bits("10010"))
    assert spec.expand(3, 5)[0] == spec
    spec.update_mask(bits("01100"))
    assert torch.equal(spec.rand(), bits("01100"))


def test_projection_takes_the_highest_of_each_vector() -> None:
    spec = MultiOneHot([2, 3])
    assert torch.equal(spec.project(torch.tensor([0.1, 0.2, 3.0, 2.0, 1.0])), bits("01100"))
    assert torch.equal(spec.project(torch.tensor([-math.inf] * 5)), bits("10100"))
    assert torch.equal(MultiOneHot([2, 3], mask=MASK).project(torch.tensor([0.0, 9, 9, 0, 1])), bits("10001"))


def test_encoding() -> None:
    spec = MultiOneHot([2, 3])
    assert torch.equal(spec.encode([1, 0]), bits("01100"))
    assert torch.equal(spec.encode(torch.tensor([[1, 0], [0, 2]])), torch.stack([bits("01100"), bits("10001")]))
    assert torch.equal(spec.encode(bits("01100")), bits("01100"))
    for wrong in ([2, 0], [0, 3], [0.5, 0], [0], [True, False], 1):
        with pytest.raises(SpecError, match=r"Give 2 whole numbers below \[2, 3\]"):
            spec.encode(wrong)
    with pytest.raises(SpecError):
        MultiOneHot([2, 3], mask=MASK).encode([1, 1])


def test_to_numpy_is_the_indices() -> None:
    assert MultiOneHot([2, 3]).to_numpy(bits("01001")).tolist() == [1, 2]
    with pytest.raises(SpecError):
        MultiOneHot([2, 3]).to_numpy(bits("01000"))


def test_listing() -> None:
    listed = MultiOneHot([2, 3]).enumerate()
    rows = ["10100", "10010", "10001", "01100", "01010", "01001"]
    assert torch.equal(listed, torch.stack([bits(row) for row in rows]))
    assert len(MultiOneHot([2, 3], mask=MASK).enumerate(use_mask=True)) == 2


def test_conversions() -> None:
    spec = MultiOneHot([2, 3], (4, 5))
    assert spec.to_categorical_spec() == MultiCategorical([2, 3], (4, 2))
    assert spec.to_one_hot_spec() is spec
    value = spec.rand((2,))
    assert torch.equal(spec.to_categorical_spec().to_one_hot(spec.to_categorical(value)), value)


def test_the_vectors_stay_whole() -> None:
    with pytest.raises(SpecError):
        MultiOneHot([2, 3])[0]

"""MultiCategorical: several whole numbers, each below its own limit."""

from __future__ import annotations

import pytest
import torch

from envcli.errors import SpecError
from envcli.specs import BoxList, CategoricalBox, MultiCategorical, MultiOneHot

MASK = torch.tensor([True, False, False, True, True])


def test_what_it_is() -> None:
    spec = MultiCategorical([2, 3])
    assert (spec.shape, spec.dtype, spec.domain, spec.nvec.tolist()) == ((2,), torch.int64, "discrete", [2, 3])
    assert spec.space == BoxList((CategoricalBox(2), CategoricalBox(3)))
    assert repr(spec) == (
        "MultiCategorical(\n    shape=torch.Size([2]),\n"
        "    space=BoxList(boxes=[CategoricalBox(n=2), CategoricalBox(n=3)]),\n    device=cpu,\n"
        "    dtype=torch.int64,\n    domain=discrete)"
    )


def test_members() -> None:
    spec = MultiCategorical([2, 3])
    assert spec.is_in(torch.tensor([[1, 2], [0, 0]]))
    assert not spec.is_in(torch.tensor([2, 1]))
    assert not spec.is_in(torch.tensor([0, -1]))


def test_every_choice_is_equally_likely() -> None:
    torch.manual_seed(0)
    draws = MultiCategorical([2, 5, 1]).rand((5000,))
    assert draws[:, 0].bincount(minlength=2).min() > 2300
    assert draws[:, 1].bincount(minlength=5).min() > 880  # 1000 expected, sd 28
    assert draws.max(0).values.tolist() == [1, 4, 0]


def test_nvec_of_any_shape() -> None:
    torch.manual_seed(0)
    nvec = torch.tensor([[2, 3], [4, 5]])
    spec = MultiCategorical(nvec)
    assert spec.shape == (2, 2)
    assert torch.equal(spec.rand((2000,)).amax(0), nvec - 1)
    assert spec[1].nvec.tolist() == [4, 5]
    assert spec[1, 0].rand((500,)).max().item() == 3
    assert spec.flatten().nvec.tolist() == [2, 3, 4, 5]
    with pytest.raises(SpecError, match=r"rows of nvec differ.*flatten\(\)"):
        spec.cardinality()
    with pytest.raises(SpecError, match="rows of nvec differ"):
        spec.to_one_hot_spec()


def test_nvec_broadcasts_to_the_shape() -> None:
    spec = MultiCategorical([2, 3], (4, 2))
    assert spec.nvec.tolist() == [[2, 3]] * 4
    assert spec == MultiCategorical([2, 3]).expand(4, 2) == MultiCategorical(torch.tensor([[2, 3]] * 4))
    assert spec.cardinality() == 6
    with pytest.raises(SpecError, match=r"nvec \[2\] does not broadcast to shape \[4, 3\]"):
        MultiCategorical([2, 3], (4, 3))


def test_an_expanded_spec_lists_its_boxes_once() -> None:
    assert len(MultiCategorical([2, 3]).expand(1000, 2).space) == 2


def test_one_number_is_one_element() -> None:
    assert MultiCategorical(3).shape == (1,)
    assert MultiCategorical([2, 3])[1].shape == ()
    assert MultiCategorical([2, 3])[1].enumerate().tolist() == [0, 1, 2]


@pytest.mark.parametrize(("nvec", "dtype"), [([0, 2], torch.int64), ([2, -1], torch.int64), ([300], torch.uint8)])
def test_impossible_numbers_are_refused(nvec: list[int], dtype: torch.dtype) -> None:
    with pytest.raises(SpecError, match="nvec must hold integers from 1"):
        MultiCategorical(nvec, dtype=dtype)


def test_masks() -> None:
    torch.manual_seed(0)
    spec = MultiCategorical([2, 3], mask=MASK)
    draws = spec.rand((600,))
    assert draws[:, 0].unique().tolist() == [0]
    assert draws[:, 1].unique().tolist() == [1, 2]
    assert not spec.is_in(torch.tensor([1, 1]))
    assert not spec.is_in(torch.tensor([0, 0]))
    assert spec.zero().tolist() == [0, 1]
    assert spec.project(torch.tensor([5.0, -5.0])).tolist() == [0, 1]
    assert spec.enumerate(use_mask=True).tolist() == [[0, 1], [0, 2]]
    assert spec.expand(3, 2)[1] == spec
    with pytest.raises(SpecError):
        spec[0]  # the mask needs the whole row


def test_a_mask_that_leaves_nothing_for_one_element_is_refused() -> None:
    with pytest.raises(SpecError, match="at least one choice everywhere"):
        MultiCategorical([2, 3], mask=torch.tensor([False, False, True, True, True]))


def test_a_mask_for_each_of_a_batch() -> None:
    mask = torch.stack([MASK, ~MASK | torch.tensor([True, True, False, False, False])])
    spec = MultiCategorical([2, 3], (2, 2), mask=mask)
    draws = spec.rand((400,))
    assert draws[:, 1, 1].unique().tolist() == [0]
    assert draws[:, 1, 0].unique().tolist() == [0, 1]
    assert draws[:, 0, 0].unique().tolist() == [0]
    assert spec[0] == MultiCategorical([2, 3], mask=MASK)
    with pytest.raises(SpecError, match="differs within the batch"):
        spec.enumerate(use_mask=True)


def test_projection() -> None:
    assert MultiCategorical([2, 3]).project(torch.tensor([9.0, -9.0])).tolist() == [1, 0]
    assert MultiCategorical([2, 3]).project(torch.tensor([0.6, 1.4])).tolist() == [1, 1]


def test_listing() -> None:
    rows = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert MultiCategorical([2, 3]).enumerate().tolist() == rows
    assert MultiCategorical([2, 3], (2, 2)).enumerate().tolist() == [[row, row] for row in rows]
    assert MultiCategorical([3]).enumerate().tolist() == [[0], [1], [2]]
    with pytest.raises(SpecError, match="too many to list"):
        MultiCategorical([10] * 7).enumerate()


def test_conversions() -> None:
    spec = MultiCategorical([2, 3], mask=MASK)
    assert spec.to_one_hot_spec() == MultiOneHot([2, 3], mask=MASK)
    assert spec.to_one_hot_spec().to_categorical_spec() == spec
    assert MultiCategorical([2, 3]).to_one_hot(torch.tensor([1, 2])).int().tolist() == [0, 1, 0, 0, 1]
    assert spec.to_categorical_spec() is spec


def test_encoding() -> None:
    assert MultiCategorical([2, 3]).encode([1, 2]).tolist() == [1, 2]
    for wrong in ([2, 0], [0.5, 0], [0], 1):
        with pytest.raises(SpecError):
            MultiCategorical([2, 3]).encode(wrong)

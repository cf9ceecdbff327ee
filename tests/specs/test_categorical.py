"""Categorical: whole numbers below n, some of them masked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envcli.errors import SpecError
from envcli.specs import Categorical, CategoricalBox, OneHot

SOME = torch.tensor([True, False, True, False])


def test_what_it_is() -> None:
    spec = Categorical(4)
    assert (spec.n, spec.shape, spec.dtype, spec.domain) == (4, (), torch.int64, "discrete")
    assert spec.space == CategoricalBox(4)
    assert spec.mask is None
    assert repr(spec) == (
        "Categorical(\n    shape=torch.Size([]),\n    space=CategoricalBox(n=4),\n    device=cpu,\n"
        "    dtype=torch.int64,\n    domain=discrete)"
    )


def test_members() -> None:
    spec = Categorical(4, (2,))
    assert spec.is_in(torch.tensor([[0, 3], [1, 2]]))
    assert not spec.is_in(torch.tensor([0, 4]))
    assert not spec.is_in(torch.tensor([-1, 0]))
    assert not Categorical(4, dtype=torch.float32).is_in(torch.tensor(0.5))
    assert not Categorical(4, dtype=torch.float32).is_in(torch.tensor(math.nan))
    assert Categorical(4, dtype=torch.float32).is_in(torch.tensor(3.0))
    fits = Categorical(4, dtype=torch.float32).row_test()
    assert [fits(np.array(value, np.float32)) for value in (0.5, math.nan, 3.0, 4.0)] == [False, False, True, False]


def test_a_flag() -> None:
    torch.manual_seed(0)
    draws = Categorical(2, (1,), dtype=torch.bool).rand((1000,))
    assert draws.dtype == torch.bool
    assert 400 < int(draws.sum()) < 600
    assert not Categorical(1, (1,), dtype=torch.bool).is_in(torch.tensor([True]))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32])
def test_each_choice_is_equally_likely(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    draws = Categorical(5, (2,), dtype=dtype).rand((5000,))
    assert draws.dtype == dtype
    counts = draws.long().flatten().bincount(minlength=6)
    assert counts[5] == 0
    assert counts[:5].min() > 1800  # 2000 expected, sd 40
    assert counts[:5].max() < 2200


def test_only_what_the_mask_allows_is_a_member() -> None:
    torch.manual_seed(0)
    spec = Categorical(4, mask=SOME)
    assert [spec.is_in(torch.tensor(i)) for i in range(4)] == SOME.tolist()
    counts = spec.rand((2000,)).bincount(minlength=4).tolist()
    assert counts[1] == counts[3] == 0
    assert counts[0] == pytest.approx(1000, abs=120)


def test_each_element_has_its_own_mask() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, False], [False, False, True]])
    spec = Categorical(3, (2,), mask=mask)
    draws = spec.rand((600,))
    assert draws[:, 0].unique().tolist() == [0, 1]
    assert 220 < int(draws[:, 0].sum()) < 380
    assert draws[:, 1].unique().tolist() == [2]
    assert spec[1].rand().item() == 2
    assert spec.zero().tolist() == [0, 2]
    assert not spec.is_in(torch.tensor([2, 2]))


def test_a_mask_broadcasts() -> None:
    spec = Categorical(4, (3, 2), mask=SOME)
    assert spec.mask is not None
    assert spec.mask.shape == (3, 2, 4)
    assert spec.is_in(spec.rand((10,)))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(4, dtype=torch.bool), "must allow at least one choice"),
        (torch.ones(4), r"must be bool \[4\], found torch.float32 \[4\]"),
        (torch.ones(3, dtype=torch.bool), r"must broadcast to \[4\], found \[3\]"),
        (torch.ones(2, 4, dtype=torch.bool), r"must be bool \[4\], found torch.bool \[2, 4\]"),
    ],
)
def test_impossible_masks_are_refused(mask: torch.Tensor, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Categorical(4, mask=mask)
    spec = Categorical(4, mask=SOME)
    with pytest.raises(SpecError, match=message):
        spec.update_mask(mask)
    assert spec == Categorical(4, mask=SOME)


def test_updating_the_mask_happens_in_place() -> None:
    spec = Categorical(4)
    mask = torch.tensor([False, False, False, True])
    assert spec.update_mask(mask) is None
    mask[:] = True
    assert spec.rand().item() == 3
    spec.update_mask(None)
    assert spec == Categorical(4)


def test_the_mask_is_part_of_the_value() -> None:
    assert Categorical(4, mask=SOME) == Categorical(4, mask=SOME.clone())
    assert Categorical(4, mask=SOME) != Categorical(4)
    assert Categorical(4) != Categorical(4, mask=SOME)
    assert Categorical(4, mask=SOME) != Categorical(4, mask=~SOME)


def test_projection_takes_the_nearest_allowed() -> None:
    assert Categorical(4, (5,)).project(torch.tensor([-3.0, 0.4, 2.6, 9.0, math.inf])).tolist() == [0, 0, 3, 3, 3]
    assert Categorical(4).project(torch.tensor(7)).item() == 3
    masked = Categorical(4, (5,), mask=SOME)
    assert masked.project(torch.tensor([-9.0, 0.9, 1.0, 1.1, 1e300], dtype=torch.float64)).tolist() == [0, 0, 0, 2, 2]
    assert masked.project(torch.tensor([0, 1, 2, 3, 99])).tolist() == [0, 0, 2, 2, 2]


def test_zero_and_one_are_the_nearest_allowed() -> None:
    spec = Categorical(4, mask=~SOME)
    assert (spec.zero().item(), spec.one().item()) == (1, 1)
    assert Categorical(4, mask=torch.tensor([False, False, False, True])).one().item() == 3


def test_encoding() -> None:
    assert Categorical(4).encode(2).item() == 2
    assert Categorical(4, (2,)).encode([1, 3.0]).tolist() == [1, 3]
    for wrong in (4, -1, 1.5, [1, 2], "a"):
        with pytest.raises(SpecError):
            Categorical(4, (3,)).encode(wrong)
    with pytest.raises(SpecError, match="does not hold 7"):
        Categorical(4).encode(7)


def test_listing() -> None:
    assert Categorical(3).enumerate().tolist() == [0, 1, 2]
    assert Categorical(3, (2,)).enumerate().tolist() == [[0, 0], [1, 1], [2, 2]]
    assert Categorical(4, mask=SOME).enumerate().tolist() == [0, 1, 2, 3]
    assert Categorical(4, mask=SOME).enumerate(use_mask=True).tolist() == [0, 2]
    assert Categorical(4, (2,), mask=SOME).enumerate(use_mask=True).tolist() == [[0, 0], [2, 2]]
    with pytest.raises(SpecError, match="differs within the batch"):
        Categorical(4, (2,), mask=torch.stack([SOME, ~SOME])).enumerate(use_mask=True)


def test_conversions() -> None:
    spec = Categorical(3, (2,))
    assert spec.to_one_hot_spec() == OneHot(3, (2, 3))
    assert spec.to_categorical_spec() is spec
    assert spec.to_one_hot(torch.tensor([0, 2])).tolist() == [[True, False, False], [False, False, True]]
    masked = Categorical(4, mask=SOME)
    assert masked.to_one_hot_spec().to_categorical_spec() == masked
    with pytest.raises(SpecError):
        spec.to_one_hot(torch.tensor([0, 3]))


def test_indexing_with_a_member() -> None:
    assert Categorical(4).index(torch.tensor(2), torch.arange(4.0)).item() == 2
    assert Categorical(4, (2,)).index(torch.tensor([1, 2]), torch.arange(8.0).view(2, 4)).tolist() == [[1, 2], [5, 6]]


@pytest.mark.parametrize(
    ("n", "dtype"), [(257, torch.uint8), (129, torch.int8), (3, torch.bool), (2**25, torch.float16)]
)
def test_a_dtype_too_small_is_refused(n: int, dtype: torch.dtype) -> None:
    with pytest.raises(SpecError, match=f"{dtype} cannot hold {n} choices"):
        Categorical(n, dtype=dtype)


def test_no_choice_is_refused() -> None:
    with pytest.raises(SpecError, match="at least 1"):
        Categorical(0)


@given(st.integers(1, 6), st.lists(st.booleans(), min_size=6, max_size=6), st.integers(-9, 9))
@settings(max_examples=60, deadline=None)
def test_projection_is_nearest_among_members(n: int, allowed: list[bool], value: int) -> None:
    mask = torch.tensor(allowed[:n])
    mask[0] |= not bool(mask.any())
    spec = Categorical(n, mask=mask)
    nearest = spec.project(torch.tensor(value)).item()
    members = mask.nonzero().flatten().tolist()
    assert nearest in members
    assert abs(nearest - value) == min(abs(member - value) for member in members)


def test_no_shape_is_a_single_number() -> None:
    assert Categorical(3, shape=None) == Categorical(3)

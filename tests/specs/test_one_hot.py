"""OneHot: one in one place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envcli.errors import SpecError
from envcli.specs import Categorical, CategoricalBox, OneHot

T, F = True, False


def test_what_it_is() -> None:
    spec = OneHot(4)
    assert (spec.n, spec.shape, spec.dtype, spec.domain) == (4, (4,), torch.bool, "discrete")
    assert spec.space == CategoricalBox(4)
    assert repr(spec) == (
        "OneHot(\n    shape=torch.Size([4]),\n    space=CategoricalBox(n=4),\n    device=cpu,\n"
        "    dtype=torch.bool,\n    domain=discrete)"
    )


def test_the_shape_must_end_with_n() -> None:
    for shape in [(2,), (), (4, 2)]:
        with pytest.raises(SpecError, match=r"the shape of OneHot\(4\) must end with 4"):
            OneHot(4, shape)


def test_members() -> None:
    spec = OneHot(3)
    assert spec.is_in(torch.tensor([[F, T, F], [T, F, F]]))
    for wrong in ([F, F, F], [T, T, F], [T, T, T]):
        assert not spec.is_in(torch.tensor(wrong))
    whole = OneHot(3, dtype=torch.float32)
    assert whole.is_in(torch.tensor([0.0, 1.0, 0.0]))
    for near in ([0.5, 0.5, 0.0], [0.0, 2.0, 0.0], [-1.0, 1.0, 1.0], [math.nan, 1.0, 0.0]):
        assert not whole.is_in(torch.tensor(near))


def test_projecting_is_advised_only_where_it_helps() -> None:
    with pytest.raises(SpecError, match=r"Call project\(value\) first"):
        OneHot(2).assert_is_in(torch.tensor([T, T]))
    with pytest.raises(SpecError) as error:
        OneHot(2).assert_is_in(torch.tensor(1))
    assert "project" not in str(error.value)


def test_an_index_is_no_member() -> None:
    assert not OneHot(2).is_in(torch.tensor(1))
    assert not OneHot(2).is_in(torch.tensor([0, 1]))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_each_place_is_equally_likely(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    draws = OneHot(4, (2, 4), dtype=dtype).rand((4000,))
    assert draws.dtype == dtype
    assert draws.shape == (4000, 2, 4)
    counts = draws.long().sum((0, 1))
    assert counts.sum() == 8000
    assert counts.min() > 1800  # 2000 expected, sd 39


def test_masks() -> None:
    torch.manual_seed(0)
    spec = OneHot(3, (2, 3), mask=torch.tensor([[T, F, T], [F, F, T]]))
    draws = spec.rand((600,))
    assert spec.is_in(draws)
    counts = draws.sum(0)
    assert counts[0, 1] == counts[1, 0] == counts[1, 1] == 0
    assert 220 < int(counts[0, 0]) < 380
    assert not spec.is_in(torch.tensor([[F, T, F], [F, F, T]]))
    assert spec.zero().tolist() == [[T, F, F], [F, F, T]]
    assert spec[1].zero().tolist() == [F, F, T]


def test_updating_the_mask_happens_in_place() -> None:
    spec = OneHot(3)
    spec.update_mask(torch.tensor([F, T, F]))
    assert spec.rand().tolist() == [F, T, F]
    assert spec != OneHot(3)


def test_projection_takes_the_highest_allowed() -> None:
    spec = OneHot(3)
    assert spec.project(torch.tensor([0.1, 0.7, 0.7])).tolist() == [F, T, F]
    assert spec.project(torch.tensor([F, T, T])).tolist() == [F, T, F]
    assert spec.project(torch.tensor([-3, -1, -2])).tolist() == [F, T, F]
    masked = OneHot(3, mask=torch.tensor([T, F, T]))
    assert masked.project(torch.tensor([0.1, 0.9, 0.2])).tolist() == [F, F, T]
    assert masked.project(torch.tensor([-math.inf] * 3)).tolist() == [T, F, F]
    assert OneHot(3, mask=torch.tensor([F, F, T])).project(torch.tensor([1.0, 1.0, -math.inf])).tolist() == [F, F, T]
    assert OneHot(3, dtype=torch.int64).project(torch.tensor([0, 5, 0])).tolist() == [0, 1, 0]


def test_zero_and_one_are_the_first_allowed() -> None:
    assert OneHot(3).zero().tolist() == OneHot(3).one().tolist() == [T, F, F]
    assert OneHot(3, mask=torch.tensor([F, T, T])).zero((2,)).tolist() == [[F, T, F]] * 2


def test_encoding_indices() -> None:
    spec = OneHot(3)
    assert spec.encode(2).tolist() == [F, F, T]
    assert spec.encode(np.int64(1)).tolist() == [F, T, F]
    assert spec.encode(2.0).tolist() == [F, F, T]
    assert spec.encode([0, 2]).tolist() == [[T, F, F], [F, F, T]]
    assert OneHot(3, (2, 3)).encode([0, 2]).tolist() == [[T, F, F], [F, F, T]]
    assert OneHot(3, (2, 3)).encode(np.array([[0, 2]])).shape == (1, 2, 3)
    assert OneHot(3, dtype=torch.float32).encode(1).tolist() == [0, 1, 0]


def test_encoding_keeps_members() -> None:
    value = torch.tensor([F, T, F])
    encoded = OneHot(3).encode(value)
    assert encoded.tolist() == [F, T, F]
    assert encoded.data_ptr() != value.data_ptr()


@pytest.mark.parametrize("wrong", [3, -1, 0.5, math.nan, True, [F, F, F], [[0], [3]], "left"])
def test_encoding_refuses_impossible_indices(wrong: object) -> None:
    with pytest.raises(SpecError):
        OneHot(3).encode(wrong)
    with pytest.raises(SpecError, match="for each of"):
        OneHot(3, (2, 3)).encode(1)


def test_encoding_refuses_what_the_mask_forbids() -> None:
    with pytest.raises(SpecError, match="whole number from 0 to 2 that the mask allows"):
        OneHot(3, mask=torch.tensor([T, F, T])).encode(1)


def test_to_numpy_is_the_index() -> None:
    assert OneHot(3).to_numpy(torch.tensor([F, F, T])) == 2
    array = OneHot(3).to_numpy(torch.tensor([[F, F, T], [T, F, F]]))
    assert array.tolist() == [2, 0]
    assert array.dtype == np.int64
    with pytest.raises(SpecError):
        OneHot(3).to_numpy(torch.tensor([F, F, F]))
    with pytest.raises(SpecError):
        OneHot(3).to_numpy(torch.tensor(1))


def test_listing() -> None:
    assert OneHot(2).enumerate().tolist() == [[T, F], [F, T]]
    assert OneHot(4, (2, 4)).enumerate().shape == (4, 2, 4)
    assert OneHot(3, mask=torch.tensor([T, F, T])).enumerate(use_mask=True).tolist() == [[T, F, F], [F, F, T]]
    assert OneHot(4, (2, 4)).cardinality() == 4


def test_conversions() -> None:
    spec = OneHot(3, (2, 3), mask=torch.tensor([T, F, T]))
    assert spec.to_categorical_spec() == Categorical(3, (2,), mask=torch.tensor([T, F, T]))
    assert spec.to_categorical_spec().to_one_hot_spec() == spec
    assert spec.to_one_hot_spec() is spec
    value = OneHot(3).rand((5,))
    assert torch.equal(Categorical(3).to_one_hot(OneHot(3).to_categorical(value)), value)


def test_indexing_with_a_member() -> None:
    assert OneHot(4).index(torch.tensor([F, T, F, F]), torch.arange(4.0)).tolist() == [1]
    hot = torch.eye(4, dtype=torch.bool)[:2]
    assert OneHot(4, (2, 4)).index(hot, torch.arange(8.0).view(2, 4)).tolist() == [[0, 1], [4, 5]]


def test_the_vector_stays_whole() -> None:
    spec = OneHot(4, (4, 4))
    assert spec[:, None].shape == (4, 1, 4)
    assert spec[..., 0].shape == (4,)  # the ellipsis ends before the vector
    assert spec.flatten(0, 0) == spec
    for change in (lambda: spec[0, 0], lambda: spec.flatten(), lambda: spec.squeeze(-1), lambda: OneHot(4)[0]):
        with pytest.raises(SpecError):
            change()
    with pytest.raises(SpecError, match=r"End the new shape with \(4,\)"):
        spec.reshape(16)
    with pytest.raises(SpecError):
        OneHot(1).expand(5, 3)
    with pytest.raises(SpecError):
        spec.unsqueeze(-1)
    assert spec.unsqueeze(-2).shape == (4, 1, 4)
    assert spec.reshape(2, 2, -1).shape == spec.reshape(2, 2, 4).shape == (2, 2, 4)


@given(st.integers(1, 20), st.data())
@settings(max_examples=40, deadline=None)
def test_encoding_inverts_to_numpy(n: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, n - 1))
    spec = OneHot(n)
    assert spec.is_in(spec.encode(index))
    assert spec.to_numpy(spec.encode(index)) == index


def test_more_choices_than_there_is_memory_for_are_refused() -> None:
    with pytest.raises(SpecError, match=r"^OneHot\(\d+\) needs .* Use Categorical\(4611686018427387904\)"):
        OneHot(2**62)

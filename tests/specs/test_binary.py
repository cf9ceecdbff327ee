"""Binary: bits."""

from __future__ import annotations

import pytest
import torch

from envcli.errors import SpecError
from envcli.specs import Binary, BinaryBox, Categorical, OneHot


def test_what_it_is() -> None:
    spec = Binary(3)
    assert (spec.shape, spec.dtype, spec.domain, spec.n) == ((3,), torch.int8, "discrete", 2)
    assert spec.space == BinaryBox(3)
    assert Binary(3, (2, 3)).shape == Binary(shape=(2, 3)).shape == (2, 3)
    assert Binary(shape=()).shape == ()


def test_it_must_know_how_many() -> None:
    with pytest.raises(SpecError, match="number of bits"):
        Binary()
    with pytest.raises(SpecError, match=r"must end with 3, found \[2\]"):
        Binary(3, (2,))


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float32])
def test_bits_are_fair(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    draws = Binary(3, dtype=dtype).rand((2000,))
    assert draws.dtype == dtype
    assert draws.double().mean(0).tolist() == pytest.approx([0.5] * 3, abs=0.05)


def test_members() -> None:
    spec = Binary(2)
    assert spec.is_in(torch.tensor([[0, 1], [1, 1]], dtype=torch.int8))
    assert not spec.is_in(torch.tensor([0, 2], dtype=torch.int8))
    assert not spec.is_in(torch.tensor([0, -1], dtype=torch.int8))
    assert not Binary(1, dtype=torch.float32).is_in(torch.tensor([0.5]))


def test_projection() -> None:
    assert Binary(4).project(torch.tensor([-1.0, 0.5, 0.6, 7.0])).tolist() == [0, 0, 1, 1]
    assert Binary(3).project(torch.tensor([-1, 1, 7])).tolist() == [0, 1, 1]


def test_listing_counts() -> None:
    assert Binary(2).enumerate().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert Binary(shape=(2, 2)).enumerate()[6].tolist() == [[0, 1], [1, 0]]
    assert Binary(3).cardinality() == 8
    with pytest.raises(SpecError, match="too many"):
        Binary(21).enumerate()


def test_one_hot() -> None:
    assert Binary(3).to_one_hot_spec() == OneHot(2, (3, 2))
    hot = Binary(2).to_one_hot(torch.tensor([0, 1], dtype=torch.int8))
    assert hot.tolist() == [[True, False], [False, True]]
    assert OneHot(2, (2, 2)).is_in(hot)


def test_encoding() -> None:
    assert Binary(3).encode([0, 1, True]).tolist() == [0, 1, 1]
    for wrong in ([0, 2, 0], [0.5, 0, 0], [1, 1]):
        with pytest.raises(SpecError):
            Binary(3).encode(wrong)


def test_indexing_drops_bits() -> None:
    assert Binary(3)[:2] == Binary(2)
    assert Binary(3)[0] == Binary(shape=())


def test_as_choices() -> None:
    bits = torch.tensor([0, 1, 1], dtype=torch.int8)
    assert Binary(3).to_categorical(bits) is bits
    assert Binary(3).to_categorical_spec() == Categorical(2, (3,), dtype=torch.int8)
    with pytest.raises(SpecError):
        Binary(3).to_categorical(bits + 1)

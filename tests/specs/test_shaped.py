"""Shapes and devices."""

from __future__ import annotations

import pytest
import torch

from envcli.errors import SpecError
from envcli.specs import Bounded, OneHot, Unbounded
from envcli.specs.shaped import as_device, as_shape


def test_shapes() -> None:
    assert as_shape(3) == as_shape([3]) == as_shape(torch.Size([3])) == torch.Size([3])
    assert as_shape(()) == torch.Size([])
    assert isinstance(as_shape((1, 2)), torch.Size)


def test_devices() -> None:
    assert as_device(None) == as_device("cpu") == torch.device("cpu")
    assert as_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_has_a_number() -> None:
    assert as_device("cuda") == torch.device("cuda", torch.cuda.current_device())
    for spec in (Unbounded(3), OneHot(4)):
        there = spec.to("cuda")
        assert there.is_in(there.rand((2,)))
        assert there.cpu() == spec


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(1),
        (0, 1),
        (slice(None), 0),
        None,
        (None, 0),
        (..., 0),
        (0, ...),
        [0, 1],
        torch.tensor([1, 0, 1]),
        ...,
    ],
    ids=str,
)
def test_indexing_gives_the_shape_that_torch_gives(index: object) -> None:
    assert Unbounded((2, 3))[index].shape == torch.zeros(2, 3)[index].shape
    assert OneHot(4, (2, 3, 4))[index].shape == (*torch.zeros(2, 3)[index].shape, 4)


def test_indexing_with_a_mask() -> None:
    mask = torch.tensor([[True, False, True], [False, False, True]])
    assert Unbounded((2, 3))[mask].shape == (3,)
    assert OneHot(4, (2, 3, 4))[mask].shape == (3, 4)
    assert OneHot(4, (2, 3, 4))[mask, ...].shape == (3, 4)
    with pytest.raises(SpecError):
        Unbounded((2, 3))[mask, 0]


def test_indices_out_of_range() -> None:
    with pytest.raises(IndexError, match=r"shape \(2, 3\) does not allow this change: index 2 is out of bounds"):
        Unbounded((2, 3))[2]


def test_a_loop_over_a_spec_ends() -> None:
    assert list(Bounded(-1, 1, (2, 3))) == [Bounded(-1, 1, (3,))] * 2
    assert list(OneHot(4, (2, 4))) == [OneHot(4)] * 2
    with pytest.raises(SpecError, match="cannot be indexed by 1 dimensions"):
        list(OneHot(4))


def test_every_size_is_known() -> None:
    with pytest.raises(SpecError, match=r"found the shape \[3, -1\], expected no size below 0"):
        Unbounded((3, -1))


def test_squeezing() -> None:
    assert Unbounded((1, 3, 1)).squeeze().shape == (3,)
    assert Unbounded((1, 3, 1)).squeeze(-1).shape == (1, 3)
    assert Unbounded((1, 3, 1)).squeeze(1).shape == (1, 3, 1)
    assert OneHot(1, (1, 1)).squeeze().shape == (1,)


def test_flattening() -> None:
    assert Unbounded((2, 3, 4)).flatten().shape == (24,)
    assert Unbounded((2, 3, 4)).flatten(1).shape == (2, 12)
    assert Unbounded((2, 12)).unflatten(1, (3, -1)).shape == (2, 3, 4)
    assert OneHot(4, (2, 3, 4)).flatten(0, 1).shape == (6, 4)

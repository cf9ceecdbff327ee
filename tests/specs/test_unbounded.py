"""Unbounded: every value of a dtype."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

from envcli.errors import SpecError
from envcli.specs import Unbounded, UnboundedContinuous, UnboundedDiscrete

INTEGERS = [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32]


def test_defaults_are_torchrls() -> None:
    spec = Unbounded()
    assert (spec.shape, spec.dtype, spec.domain) == ((1,), torch.float32, "continuous")
    assert (UnboundedDiscrete().dtype, UnboundedDiscrete().domain) == (torch.int64, "discrete")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool])
def test_the_kind_follows_the_dtype_however_it_was_made(dtype: torch.dtype) -> None:
    kind = UnboundedContinuous if dtype.is_floating_point else UnboundedDiscrete
    for make in (Unbounded, UnboundedContinuous, UnboundedDiscrete):
        spec = make(3, dtype=dtype)
        assert type(spec) is type(spec.clone()) is type(pickle.loads(pickle.dumps(spec))) is kind
        assert isinstance(spec, Unbounded)
    assert type(Unbounded(3, dtype=dtype).to(torch.float64)) is UnboundedContinuous


def test_the_kind_of_constructor_is_no_part_of_the_value() -> None:
    assert UnboundedDiscrete(3) == Unbounded(3, dtype=torch.int64)
    assert Unbounded(3, dtype=torch.int64) == UnboundedDiscrete(3)
    assert UnboundedDiscrete(3) != Unbounded(3)


def test_repr_is_torchrls() -> None:
    assert repr(Unbounded(3, dtype=torch.uint8)) == (
        "UnboundedDiscrete(\n"
        "    shape=torch.Size([3]),\n"
        "    space=ContinuousBox(\n"
        "        low=Tensor(shape=torch.Size([3]), device=cpu, dtype=torch.uint8, contiguous=True),\n"
        "        high=Tensor(shape=torch.Size([3]), device=cpu, dtype=torch.uint8, contiguous=True)),\n"
        "    device=cpu,\n"
        "    dtype=torch.uint8,\n"
        "    domain=discrete)"
    )


def test_the_space_says_the_ends_of_the_dtype() -> None:
    assert Unbounded(2).space.high.tolist() == [math.inf] * 2
    assert Unbounded(2, dtype=torch.int64).space.low.tolist() == [-(2**63)] * 2
    assert Unbounded((), dtype=torch.bool).space.high.item() is True


def test_nan_and_infinity_are_members() -> None:
    assert Unbounded(3).is_in(torch.tensor([math.nan, math.inf, -math.inf]))


def test_floats_are_standard_normal() -> None:
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        draws = Unbounded(20000, dtype=dtype).rand()
        assert draws.dtype == dtype
        assert float(draws.double().mean()) == pytest.approx(0, abs=0.05)
        assert float(draws.double().std()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_cover_the_dtype(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    draws = Unbounded(8000, dtype=dtype).rand()
    assert draws.dtype == dtype
    info = torch.iinfo(dtype)
    counts = torch.histc((draws.double() - info.min) / (float(info.max) - info.min), 4, 0, 1)
    assert counts.sum() == 8000
    assert counts.min() > 1800  # 2000 expected, sd 39
    assert counts.max() < 2200


def test_booleans_are_fair() -> None:
    torch.manual_seed(0)
    draws = Unbounded(1000, dtype=torch.bool).rand()
    assert draws.dtype == torch.bool
    assert 400 < int(draws.sum()) < 600


def test_projection_casts() -> None:
    assert Unbounded(2).project(torch.tensor([1, 2])).dtype == torch.float32
    spec = Unbounded(4, dtype=torch.uint8)
    assert spec.project(torch.tensor([-1.0, 2.4, 2.6, 1e9])).tolist() == [0, 2, 3, 255]


def test_encoding_keeps_integers_whole() -> None:
    assert Unbounded(2, dtype=torch.int64).encode([1.0, 2]).tolist() == [1, 2]
    for wrong in ([0.5, 1], [2**63, 1.0], [math.nan, 0]):
        with pytest.raises(SpecError, match="without change"):
            Unbounded(2, dtype=torch.int64).encode(wrong)
    with pytest.raises(SpecError, match="cannot hold"):
        Unbounded(1, dtype=torch.bool).encode([2])


def test_cardinality() -> None:
    assert Unbounded(2).cardinality() == math.inf
    assert Unbounded(2, dtype=torch.uint8).cardinality() == 256**2
    assert Unbounded(3, dtype=torch.bool).cardinality() == 8


@pytest.mark.parametrize("dtype", [torch.complex64, torch.uint64])
def test_what_has_no_order_or_no_room_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(SpecError, match=f"no spec of dtype {dtype}"):
        Unbounded(1, dtype=dtype)

"""Bounded: every member, nothing else, uniformly, at every edge that floats and integers have."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envcli.errors import SpecError
from envcli.specs import Bounded, BoundedContinuous, BoundedDiscrete, Unbounded

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
INT64 = st.integers(-(2**63), 2**63 - 1)
MOST = torch.finfo(torch.float32).max


def test_repr_is_torchrls() -> None:
    assert repr(Bounded(-1, 1, (1,))) == (
        "BoundedContinuous(\n"
        "    shape=torch.Size([1]),\n"
        "    space=ContinuousBox(\n"
        "        low=Tensor(shape=torch.Size([1]), device=cpu, dtype=torch.float32, contiguous=True),\n"
        "        high=Tensor(shape=torch.Size([1]), device=cpu, dtype=torch.float32, contiguous=True)),\n"
        "    device=cpu,\n"
        "    dtype=torch.float32,\n"
        "    domain=continuous)"
    )


def test_the_tutorials_projection() -> None:
    spec = Bounded(-1, 1, (1,))
    action = torch.ones(1) * 3
    assert not spec.is_in(action)
    assert torch.equal(spec.project(action), torch.tensor([1.0]))


def test_the_shape_comes_from_the_bounds_or_is_given() -> None:
    assert Bounded(torch.zeros(3), 1).shape == (3,)
    assert Bounded(np.zeros((2, 1)), np.ones(3)).shape == (2, 3)
    assert Bounded([0, 0], [1, 1]).shape == (2,)
    assert Bounded(0, 1, shape=3).shape == (3,)
    assert Bounded(0, 1, shape=()).shape == ()
    assert Bounded(torch.zeros(3), 1, (2, 3)).low.shape == (2, 3)


def test_the_dtype_is_torchs_default_whatever_the_bounds_are() -> None:
    assert Bounded(np.zeros(3), np.ones(3)).dtype == torch.float32
    assert Bounded(0, 1, (1,), dtype=torch.float64).dtype == torch.float64


def test_the_domain_follows_the_dtype() -> None:
    assert Bounded(0, 1, (1,)).domain == "continuous"
    assert Bounded(0, 1, (1,), dtype=torch.int64).domain == "discrete"


def test_the_domain_may_be_said_as_in_torchrl() -> None:
    assert Bounded(0, 1, (2,), domain="continuous") == Bounded(0, 1, (2,))
    assert Unbounded((2,), dtype=torch.int64, domain="discrete") == Unbounded((2,), dtype=torch.int64)
    with pytest.raises(SpecError, match=r"domain: found 'discrete', but torch\.float32 is continuous"):
        Bounded(0, 1, (2,), domain="discrete")


def test_the_kind_follows_the_dtype_however_it_was_made() -> None:
    assert type(Bounded(0, 1, (1,))) is type(BoundedContinuous(0, 1, (1,))) is BoundedContinuous
    assert type(Bounded(0, 1, (1,), dtype=torch.int64)) is BoundedDiscrete
    assert type(Bounded(0, 1, (1,)).to(torch.int64)) is type(BoundedContinuous(0, 1, (1,), dtype=torch.int8))
    for spec in (Bounded(0, 1, (1,)), Bounded(0, 1, (1,), dtype=torch.int64)):
        assert isinstance(spec, Bounded)
        for same in (spec.clone(), spec.expand(2, 1)[0], pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec)):
            assert type(same) is type(spec)
            assert same == spec


def test_a_kind_of_ones_own_stays_what_it_is() -> None:
    class Percent(Bounded):
        pass

    assert type(Percent(0, 100, (1,))) is type(Percent(0, 100, (1,)).to(torch.int64)) is Percent
    assert Percent(0, 1, (1,)) != Bounded(0, 2, (1,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0, "high": 1}, "Give shape="),
        ({"low": 1, "high": 0, "shape": (2,)}, "low must not exceed high"),
        ({"low": math.nan, "high": 0, "shape": (2,)}, "neither may be NaN"),
        ({"low": 0, "high": math.nan, "shape": (2,)}, "neither may be NaN"),
        ({"low": [0, 0], "high": [1, 1, 1]}, "do not broadcast"),
        ({"low": [0, 0], "high": 1, "shape": (3,)}, r"do not broadcast to shape \[3\]"),
        ({"low": [[0, 0]], "high": 1, "shape": (2,)}, r"do not broadcast to shape \[2\]"),
        ({"low": 0.5, "high": 1, "shape": (1,), "dtype": torch.int64}, r"low=0.5 cannot be a bound of torch.int64"),
        ({"low": 0, "high": 256, "shape": (1,), "dtype": torch.uint8}, r"high=256 cannot be a bound of torch.uint8"),
        ({"low": -math.inf, "high": 0, "shape": (1,), "dtype": torch.int32}, "cannot be a bound of torch.int32"),
        ({"low": math.inf, "high": math.inf, "shape": (1,)}, "some finite number"),
        ({"low": 0, "high": 1, "shape": (1,), "dtype": torch.complex64}, "no bounds of dtype torch.complex64"),
        ({"low": 0, "high": 1, "shape": (1,), "dtype": torch.uint64}, "no bounds of dtype torch.uint64"),
        ({"low": "x", "high": 1, "shape": (1,)}, "expected numbers"),
    ],
)
def test_impossible_bounds_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Bounded(**arguments)


def test_bounds_are_copied() -> None:
    low = torch.zeros(3)
    spec = Bounded(low, 1)
    low += 100
    assert spec.low.tolist() == [0, 0, 0]
    again = torch.tensor([0.0, 1.0, 2.0])
    spec = Bounded(again, 5)
    again += 100
    assert spec.low.tolist() == [0, 1, 2]


def test_bounds_are_included() -> None:
    spec = Bounded(-1, 1, (2,))
    assert spec.is_in(torch.tensor([-1.0, 1.0]))
    beyond = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    assert not spec.is_in(torch.stack([torch.tensor(0.0), beyond]))
    assert not spec.is_in(torch.tensor([0.0, math.nan]))
    assert not spec.is_in(torch.tensor([0.0, math.inf]))


def test_each_element_has_its_own_bounds() -> None:
    spec = Bounded([0, 10], [1, 11])
    assert spec.is_in(torch.tensor([[0.0, 10.0], [1.0, 11.0]]))
    assert not spec.is_in(torch.tensor([10.0, 0.0]))
    assert not spec.is_in(torch.tensor([0.0, math.nan]))
    assert spec.project(torch.tensor([5.0, 5.0])).tolist() == [1, 10]
    draws = spec.rand((1000,))
    assert draws.min(0).values.tolist() == pytest.approx([0, 10], abs=0.02)
    assert draws.max(0).values.tolist() == pytest.approx([1, 11], abs=0.02)


@pytest.mark.parametrize("bounds", [(-2.0, 3.0), ([-2.0, -2.0], [3.0, 3.5])], ids=["uniform", "by element"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floats_are_uniform(bounds: tuple[object, object], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    draws = Bounded(*bounds, shape=(2,), dtype=dtype).rand((20000,))[:, 0].double()
    counts = torch.histc(draws, 10, -2, 3)
    assert counts.min() > 1750  # 2000 expected, sd 42, and half floats are coarse
    assert counts.max() < 2250
    assert draws.min() < -1.99
    assert draws.max() > 2.97


@given(FLOAT32, FLOAT32, st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_two_floats_bound_their_draws(one: float, other: float, by_element: bool) -> None:
    low, high = sorted((one, other))
    bounds = ([low, low, low - 0.0], [high, high, high]) if by_element else (low, high)
    for dtype in (torch.float32, torch.float64):
        spec = Bounded(*bounds, shape=(3,), dtype=dtype)
        draws = spec.rand((200,))
        assert bool(draws.isfinite().all())
        assert spec.is_in(draws)
        assert spec.is_in(spec.zero())
        assert spec.is_in(spec.project(torch.tensor([-1e38, 0.0, 1e38], dtype=torch.float64)))


def test_the_width_may_overflow() -> None:
    torch.manual_seed(0)
    for spec in (Bounded(-MOST, MOST, (1,)), Bounded([-MOST, 0], [MOST, 1])):
        draws = spec.rand((4000,))[:, 0].double() / MOST
        assert bool(draws.isfinite().all())
        counts = torch.histc(draws, 4, -1, 1)
        assert counts.sum() == 4000
        assert counts.min() > 850  # 1000 expected, sd 27


def test_rounding_never_leaves_the_bounds() -> None:
    # -1 + fl(high + 1) is above high here: the width rounds up by more than a step of high
    low, high = -1.0, 1.1 * 2.0**-24
    assert np.float32(low) + (np.float32(high) - np.float32(low)) > np.float32(high)
    spec = Bounded(low, high, (100000,))
    assert spec.is_in(spec.rand())
    narrow = Bounded(0.1, 0.1001, (10000,), dtype=torch.float16)
    assert narrow.is_in(narrow.rand())


def test_half_infinite_bounds_draw_exponentials() -> None:
    torch.manual_seed(0)
    above = Bounded(3, math.inf, (1,)).rand((20000,))
    assert bool(above.isfinite().all())
    assert above.min() >= 3
    assert float(above.mean()) == pytest.approx(4, abs=0.05)
    below = Bounded(-math.inf, -3, (1,)).rand((20000,))
    assert below.max() <= -3
    assert float(below.mean()) == pytest.approx(-4, abs=0.05)


def test_no_bounds_draw_normals() -> None:
    torch.manual_seed(0)
    draws = Bounded(-math.inf, math.inf, (1,)).rand((20000,))
    assert float(draws.mean()) == pytest.approx(0, abs=0.05)
    assert float(draws.std()) == pytest.approx(1, abs=0.05)


def test_all_kinds_of_bounds_at_once() -> None:
    torch.manual_seed(0)
    low = [-math.inf, 0, -math.inf, 5, -MOST]
    high = [math.inf, math.inf, 0, 6, MOST]
    spec = Bounded(low, high)
    draws = spec.rand((5000,))
    assert bool(draws.isfinite().all())
    assert spec.is_in(draws)
    assert float(draws[:, 0].std()) == pytest.approx(1, abs=0.1)
    assert float(draws[:, 1].mean()) == pytest.approx(1, abs=0.1)
    assert float(draws[:, 2].mean()) == pytest.approx(-1, abs=0.1)
    assert float(draws[:, 3].mean()) == pytest.approx(5.5, abs=0.05)
    assert float(draws[:, 4].abs().max()) > 0.99 * MOST


@pytest.mark.parametrize("bound", [1e9, 1e30, -1e30, MOST])
def test_a_huge_half_infinite_bound_still_varies(bound: float) -> None:
    draws = Bounded(bound, math.inf, (1,)).rand((100,))
    assert bool(draws.isfinite().all())
    assert draws.min() >= torch.tensor(bound)
    assert len(draws.unique()) > 50 or bound == MOST


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16])
def test_small_integers_are_uniform_with_both_ends(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for spec in (Bounded(1, 6, (1,), dtype=dtype), Bounded([1, 0], [6, 1], dtype=dtype)):
        draws = spec.rand((6000,))
        assert draws.dtype == dtype
        counts = draws[:, 0].long().bincount(minlength=7)
        assert counts[0] == 0
        assert counts.sum() == counts[1:].sum() == 6000
        assert counts[1:].min() > 850  # 1000 expected, sd 29
        assert counts[1:].max() < 1150


def test_all_of_uint8() -> None:
    torch.manual_seed(0)
    assert len(Bounded(0, 255, (10000,), dtype=torch.uint8).rand().unique()) == 256
    assert len(Bounded(-128, 127, (10000,), dtype=torch.int8).rand().unique()) == 256


def test_booleans() -> None:
    torch.manual_seed(0)
    draws = Bounded(0, 1, (1000,), dtype=torch.bool).rand()
    assert draws.dtype == torch.bool
    assert 400 < int(draws.sum()) < 600
    assert not Bounded(0, 0, (1000,), dtype=torch.bool).rand().any()


@given(INT64, INT64, st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_two_integers_bound_their_draws(one: int, other: int, by_element: bool) -> None:
    low, high = sorted((one, other))
    bounds = ([low, 0], [high, 3]) if by_element else (low, high)
    spec = Bounded(*(np.array(b, dtype=np.int64) for b in bounds), shape=(2,), dtype=torch.int64)
    draws = spec.rand((50,))
    assert all(low <= value <= high for value in draws[:, 0].tolist())
    assert spec.is_in(draws)
    nearest = [spec.project(torch.tensor([value, 0.0]))[0].item() for value in (-math.inf, 0.0, math.inf)]
    assert nearest == [low, min(max(low, 0), high), high]


@pytest.mark.parametrize(("low", "high"), [(-(2**63), 2**62), (-(2**62), 2**63 - 1), (-(2**63), 2**63 - 1)])
def test_huge_integer_ranges_are_uniform(low: int, high: int) -> None:
    torch.manual_seed(0)
    draws = Bounded(np.array([low, 0]), np.array([high, 1]), dtype=torch.int64).rand((8000,))[:, 0].double()
    counts = torch.histc((draws - low) / (float(high) - low), 4, 0, 1)
    assert counts.min() > 1850  # 2000 expected, sd 39
    assert counts.max() < 2150


def test_integers_at_the_very_ends() -> None:
    torch.manual_seed(0)
    top = Bounded(2**63 - 3, 2**63 - 1, (300,), dtype=torch.int64).rand()
    assert top.unique().tolist() == [2**63 - 3, 2**63 - 2, 2**63 - 1]
    bottom = Bounded(-(2**63), -(2**63) + 1, (300,), dtype=torch.int64).rand()
    assert bottom.unique().tolist() == [-(2**63), -(2**63) + 1]


def test_integers_beyond_the_precision_of_floats() -> None:
    spec = Bounded(2**60 - 1, 2**60 + 1, (100,), dtype=torch.int64)
    assert spec.rand().unique().tolist() == [2**60 - 1, 2**60, 2**60 + 1]
    assert spec.low[0].item() == 2**60 - 1
    assert not spec.is_in(torch.full((100,), 2**60 + 2))


def test_projection_rounds_half_to_even_and_saturates() -> None:
    spec = Bounded(0, 10, (6,), dtype=torch.int64)
    assert spec.project(torch.tensor([0.5, 1.5, 2.4, -7.0, 99.0, 1e30])).tolist() == [0, 2, 2, 0, 10, 10]
    wide = Bounded(-(2**63), 2**63 - 1, (2,), dtype=torch.int64)
    assert wide.project(torch.tensor([1e30, -1e30])).tolist() == [2**63 - 1, -(2**63)]
    small = Bounded(0, 255, (2,), dtype=torch.uint8)
    assert small.project(torch.tensor([300, -5])).tolist() == [255, 0]
    assert small.project(torch.tensor([300.0, -5.0])).dtype == torch.uint8


def test_projection_casts_to_this_dtype() -> None:
    projected = Bounded(0, 1, (2,)).project(torch.tensor([0.25, 1e300], dtype=torch.float64))
    assert projected.dtype == torch.float32
    assert projected.tolist() == [0.25, 1.0]


def test_zero_and_one_are_the_nearest_members() -> None:
    assert Bounded(1, 2, (2,)).zero().tolist() == [1, 1]
    assert Bounded(-2, -1, (2,)).zero().tolist() == [-1, -1]
    assert Bounded(-1, 1, (2,)).zero().tolist() == [0, 0]
    assert Bounded(-2, -1, (2,)).one().tolist() == [-1, -1]
    assert Bounded(0, 5, (), dtype=torch.int64).one().item() == 1


def test_encoding_refuses_what_is_not_a_member() -> None:
    spec = Bounded(0, 10, (2,), dtype=torch.uint8)
    assert spec.encode([3.0, 10]).tolist() == [3, 10]
    for wrong in ([3.5, 1], [300, 1], [-1, 1], [11, 1], [math.nan, 1], [1, 2, 3]):
        with pytest.raises(SpecError):
            spec.encode(wrong)
    with pytest.raises(SpecError, match=r"does not hold 2 at \[0\]: expected from 0 to 1\."):
        Bounded(0, 1, (1,)).encode([2])


def test_a_number_encodes_to_one_element() -> None:
    assert Bounded(0, 1, (1,)).encode(0.5).tolist() == [0.5]


def test_cardinality() -> None:
    assert Bounded(0, 1, (2,)).cardinality() == math.inf
    assert Bounded([0, 1], [1, 3], dtype=torch.int64).cardinality() == 6
    assert Bounded(0, 255, (2, 2), dtype=torch.uint8).cardinality() == 256**4


def test_equality_sees_every_part() -> None:
    spec = Bounded([0, 0], [1, 2])
    assert spec == Bounded([0, 0], [1, 2])
    assert spec != Bounded([0, 0], [1, 3])
    assert spec != Bounded([0, -1], [1, 2])
    assert spec != Bounded([0, 0], [1, 2], dtype=torch.float64)
    assert spec != Bounded([0, 0], [1, 2], (1, 2))
    assert Bounded(0, 1, (2,)) == Bounded(torch.zeros(2), torch.ones(2))
    assert Bounded([0, 0], [1, 2]).expand(3, 2) == Bounded([[0, 0]] * 3, [[1, 2]] * 3)


def test_expanding_costs_no_memory() -> None:
    spec = Bounded(0, 255, (240, 320, 3), dtype=torch.uint8).expand(64, 240, 320, 3)
    assert spec.low.untyped_storage().nbytes() <= 8
    by_channel = Bounded(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0])).expand(1000, 1000, 3)
    assert by_channel.high.untyped_storage().nbytes() <= 24


def test_indexing_takes_the_bounds_along() -> None:
    spec = Bounded(torch.zeros(2, 3), torch.arange(1.0, 7.0).view(2, 3))
    assert spec[0].high.tolist() == [1, 2, 3]
    assert spec[..., -1].high.tolist() == [3, 6]
    assert spec[1, 2].high.item() == 6
    assert spec[:, 1:].shape == (2, 2)


def test_changing_to_a_dtype_that_cannot_hold_the_bounds() -> None:
    assert Bounded(0, 1, (2,)).to(torch.int64) == Bounded(0, 1, (2,), dtype=torch.int64)
    with pytest.raises(SpecError, match=r"torch\.int64"):
        Bounded(0, 0.5, (2,)).to(torch.int64)


def test_only_choices_have_indices() -> None:
    with pytest.raises(SpecError, match="holds no indices"):
        Bounded(0, 1, (2,)).index(torch.zeros(2), torch.zeros(2))

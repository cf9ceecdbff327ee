"""Rows that take only what is announced of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envcli.errors import SpecError
from envcli.rows.announced import Announced, AnnouncedNest
from envcli.rows.strict_rows import NestedRows, strict_rows

NAN = np.nan
SHAPES = [(2,), (12,), (2, 2), (20, 20), ()]


def memory(shape: tuple[int, ...], how: str) -> Any:
    """1000 rows that lie together, or each beside another env's, or all in one place."""
    row = shape or (1,)
    if how == "dense":
        return np.zeros((1000, *row), np.float32)
    if how == "beside":
        return np.zeros((1000, 3, *row), np.float32)[:, 1]
    return np.lib.stride_tricks.as_strided(
        np.zeros(row, np.float32), (1000, *row), (0, *np.zeros(row, np.float32).strides)
    )


@pytest.mark.parametrize("how", ["dense", "beside", "one"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_member_is_written_and_nothing_beside_it(shape: tuple[int, ...], how: str) -> None:
    array = memory(shape, how)
    rows = strict_rows(Announced(shape, "float32", -1, 2), array, "here")
    for value in (np.full(shape, 0.5, np.float32), np.full(shape, 0.25), np.ones(shape, int)):
        rows[7] = value
        assert (array[7] == value).all()
        assert rows.whole(7, 8) == 8
    if how == "beside":
        assert (array.base[:, [0, 2]] == 0).all()
    for wrong in (None, np.zeros((3, *shape), np.float32), np.full(shape, "x")):
        with pytest.raises(SpecError, match="here: expected"):
            rows[7] = wrong


@pytest.mark.parametrize("shape", SHAPES)
def test_halves_are_compared_too(shape: tuple[int, ...]) -> None:
    array = np.zeros((10, *(shape or (1,))), np.float16)
    rows = strict_rows(Announced(shape, "float16", -1, 1), array, "here")
    rows[3] = np.full(shape, 0.5, np.float16)
    assert rows.whole(0, 10) == 10
    array[4] = 2
    if shape:
        assert rows.whole(0, 10) == rows.whole(4, 5) == 4
        with pytest.raises(SpecError, match=r"here: expected -1\.0 to 1\.0, found 2\.0"):
            rows.check(4)


def test_a_value_without_numbers_has_nothing_to_compare() -> None:
    rows = strict_rows(Announced((0, 3), "float32", -1, 1), np.zeros((10, 0, 3), np.float32), "here")
    rows[3] = np.zeros((0, 3), np.float32)
    assert rows.whole(0, 10) == 10
    with pytest.raises(SpecError, match=r"here: expected shape \(0, 3\) .*found \(3,\)"):
        rows[4] = np.zeros(3, np.float32)


@pytest.mark.parametrize("how", ["dense", "beside"])
@pytest.mark.parametrize("bounds", [(None, None), (-1, 1), (0, 1), (-np.inf, 1)])
@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_the_first_row_that_is_not_whole_is_found(shape: tuple[int, ...], bounds: tuple[Any, Any], how: str) -> None:
    array = memory(shape, how)
    rows = strict_rows(Announced(shape, "float32", *bounds), array, "here")
    assert rows.whole(0, 1000) == 1000
    for bad in (NAN, np.inf, -np.inf, *([1.5] if bounds[1] else []), *([-1.5] if bounds[0] in (-1, 0) else [])):
        for t in (0, 5, 255, 256, 700, 999):
            array[t, ..., -1] = bad
            for start, stop in ((0, 1000), (t, t + 1), (max(t - 3, 0), min(t + 9, 1000))):
                assert rows.whole(start, stop) == t
            assert rows.whole(0, t) == t
            with pytest.raises(SpecError, match=r"here: expected .*, found .*(nan|inf|1\.5)"):
                rows.check(t)
            array[t, ..., -1] = 0


def test_bytes_of_full_range_need_no_look() -> None:
    rows = strict_rows(Announced((4, 4), "uint8"), np.zeros((3, 4, 4), np.uint8), "here")
    rows[0] = np.full((4, 4), 255, np.uint8)
    assert rows.whole(0, 3) == 3
    with pytest.raises(SpecError, match="expected 0 to 255, found 256"):
        rows[0] = np.full((4, 4), 256)


def test_a_nest_looks_at_its_entries() -> None:
    one, other = np.zeros((5, 2), np.float32), np.zeros((5, 1), np.float32)
    vector, number = Announced((2,), "float32"), Announced((), "float32", 0, 1)
    nest = AnnouncedNest([("a", "a", vector), ("b", "b", number)], keyed=True)
    rows = strict_rows(nest, NestedRows([("a", one), ("b", other)]), "here")
    rows[1] = {"a": np.float32([NAN, 1]), "b": 0.5}
    assert (one[1, 1], other[1, 0], rows.whole(0, 5)) == (1, 0.5, 1)
    with pytest.raises(SpecError, match=r"here\.a: expected a finite number, found nan at \[0\]"):
        rows.check(1)
    for wrong, said in (
        ({"a": one[0]}, "entry 'b'"),
        ({"a": one[0], "b": 2}, r"here\.b: expected 0.0 to 1.0, found 2"),
    ):
        with pytest.raises(SpecError, match=said):
            rows[0] = wrong

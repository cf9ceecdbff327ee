"""Entries of rows as others write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from envcli.adapters.encoding import Encoding, Numbers, OneHots, Same
from envcli.errors import ActionError

SAME = Same((3,), (3,), np.float32, np.float32)
SCALAR = Same((1,), (), np.float32, np.float64)
BITS = Same((2, 2), (2, 2), bool, np.int8)
FAR = Numbers((), np.int64, np.int32, 4, -2)
PAIR = Numbers((2,), np.int64, np.int64, [2, 3], [5, 0])
HOT = OneHots((4,), np.int64, np.int64, 4, -2)
HOTS = OneHots((5,), bool, np.int64, [2, 3])
EQUAL = OneHots((2, 3), np.int64, np.int64, [3, 3])

ROWS: list[tuple[Encoding, Any, Any]] = [
    (SAME, np.array([1, 2, 3], np.float32), [1, 2, 3]),
    (SCALAR, np.array([0.5], np.float32), 0.5),
    (BITS, np.array([[True, False], [False, True]]), [[1, 0], [0, 1]]),
    (FAR, np.array(3), 1),
    (PAIR, np.array([1, 2]), [6, 2]),
    (HOT, np.array([0, 1, 0, 0]), -1),
    (HOTS, np.array([0, 1, 0, 0, 1], bool), [1, 2]),
    (EQUAL, np.array([[0, 1, 0], [0, 0, 1]]), [1, 2]),
]


@pytest.mark.parametrize(("encoding", "row", "value"), ROWS)
def test_a_row_goes_out_and_comes_back(encoding: Encoding, row: Any, value: Any) -> None:
    out = encoding.outward(row)
    assert out.dtype == encoding.their_dtype
    assert out.tolist() == value
    assert not np.shares_memory(out, row)
    back = encoding.inward(out, (), "action")
    assert back.dtype == row.dtype
    assert np.array_equal(back, row)
    written = np.zeros_like(row)
    encoding.writer(written, "action")(out)
    assert np.array_equal(written, row)


@pytest.mark.parametrize(("encoding", "row", "value"), ROWS)
def test_of_many_envs_at_once(encoding: Encoding, row: Any, value: Any) -> None:
    rows = np.stack([row, row])
    out = encoding.reader(rows)()
    assert out.tolist() == [value, value]
    assert np.array_equal(encoding.inward(out, (2,), "action"), rows)


@pytest.mark.parametrize(
    ("encoding", "value", "lead", "message"),
    [
        (SAME, [1, 2], (), r"action: expected shape \[3\], found \[2\]"),
        (SAME, [[1], [2, 3]], (), r"action: expected numbers of shape \[3\], found a list: .*inhomogeneous"),
        (SAME, torch.ones(3, requires_grad=True), (), r"expected numbers of shape \[3\], found a Tensor: .*detach"),
        (PAIR, np.array([2**64 - 1, 0], np.uint64), (), r"action\[0\]: expected a whole number from 5 to 6, found"),
        (SAME, ["a", "b", "c"], (), "action: expected numbers, found <U1"),
        (Same((1,), (1,), np.int8, np.int8), [300], (), "out of the range of int8"),
        (HOT, 2, (), "action: expected a whole number from -2 to 1, found 2"),
        (HOT, 0.0, (), "action: expected whole numbers, found float64"),
        (HOT, [0, -3], (2,), "expected a whole number from -2 to 1, found -3 for env 1"),
        (PAIR, [[5, 0], [7, 0]], (2,), r"action\[0\]: expected a whole number from 5 to 6, found 7 for env 1"),
    ],
)
def test_what_does_not_fit_is_named(encoding: Encoding, value: Any, lead: Any, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        encoding.inward(value, lead, "action")


@pytest.mark.parametrize("given", [np.uint8, np.int64, np.uint64, bool])
@pytest.mark.parametrize("theirs", [np.uint8, np.int64, np.uint64])
def test_whole_numbers_of_any_dtype_are_numbers(theirs: Any, given: Any) -> None:
    starts = np.zeros(2, theirs)
    numbers = Numbers((2,), np.int64, theirs, np.array([2, 3], theirs), starts)
    hot = OneHots((5,), np.int64, theirs, np.array([2, 3], theirs), starts)
    assert numbers.inward(np.array([1, 0], given), (), "action").tolist() == [1, 0]
    assert hot.inward(np.array([1, 0], given), (), "action").tolist() == [0, 1, 1, 0, 0]


def test_a_single_number_that_does_not_fit_leaves_the_row_alone() -> None:
    row = np.array([0, 1, 0, 0])
    for wrong in (2, -3, 0.0, [0]):
        with pytest.raises(ActionError):
            HOT.writer(row, "action")(wrong)
    assert row.tolist() == [0, 1, 0, 0]

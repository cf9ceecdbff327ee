"""What a simulator announces, and what is as announced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from envcli.errors import ConfigError, SpecError
from envcli.rows.announced import Announced, AnnouncedNest, check_flag, check_mode

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("announced", "value"),
    [
        (Announced((2,), "float32"), np.ones(2)),
        (Announced((2,), "float32"), np.ones(2, int)),
        (Announced((2,), "float32"), [1, 2.5]),
        (Announced((2,), "float32", -INF, INF), np.float32([3e38, -3e38])),
        (Announced((1,), "float32", 0, np.float32(0.7)), np.array([0.7])),  # float32's 0.7 is a little less
        (Announced((2,), "float64", 0, 1), np.array([1 + 2e-16, -2e-16])),
        (Announced((2,), "float32", 0, [1, INF]), np.float32([1.0000001, 1e30])),
        (Announced((2,), "uint8"), np.array([0, 255])),
        (Announced((), "int64", 0, 3), True),
        (Announced((), "float64"), 3),
        (Announced((2,), "complex64"), np.ones(2, np.complex64)),
        (Announced((2,), "bool"), np.array([True, False])),
        (Announced((0,), "float32"), np.zeros(0)),
    ],
)
def test_what_loses_nothing_but_precision_passes(announced: Announced, value: Any) -> None:
    announced.check(value, "here")


@pytest.mark.parametrize(
    ("announced", "value", "said"),
    [
        (Announced((2,), "float32"), None, r"here: expected float32 of shape \(2,\), found None"),
        (Announced((2,), "float32"), "ab", "found 'ab'"),
        (Announced((2,), "float32"), [[1], [1, 2]], r"found \[\[1\], \[1, 2\]\]"),
        (Announced((2,), "float32"), np.ones(1), r"expected shape \(2,\) as the env declares, found \(1,\)"),
        (Announced((2,), "float32"), np.ones((2, 2)), r"found \(2, 2\)"),
        (Announced((2,), "float32"), 1.0, r"found \(\): 1.0"),
        (Announced((2,), "float32"), np.array([0, NAN]), r"expected a finite number, found nan at \[1\]"),
        (Announced((2,), "float32"), np.array([INF, 0]), r"found inf at \[0\]"),
        (Announced((2,), "float32"), np.array([1e300, 0]), r"found inf at \[0\]"),
        (
            Announced((2,), "float32", -1, 1),
            np.array([3, -3.0]),
            r"expected -1.0 to 1.0, found 3.0 at \[0\], and 1 more",
        ),
        (Announced((1,), "float64", 0, 1), [1 + 1e-15], r"expected 0.0 to 1.0, found 1.00000000000000\d+\. Fix"),
        (Announced((1,), "float32", 0, INF), [-1e-9], r"expected 0.0 to 3.4\d+e\+38, found -9.99\d+e-10"),
        (Announced((2,), "int64"), np.ones(2), r"expected int64 of shape \(2,\), found float64 array"),
        (Announced((2,), "uint8"), np.array([0, 256]), r"expected 0 to 255, found 256 at \[1\]"),
        (Announced((2,), "complex64"), np.array([0, NAN]), r"found \(?nan"),
        (
            Announced((), "int64", 0, 3),
            4,
            "expected 0 to 3, found 4. Fix the simulator, or skip the check: backend.checks=off, in Python "
            "checks='off'",
        ),
    ],
)
def test_what_is_not_as_announced_is_told(announced: Announced, value: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        announced.check(value, "here")


def test_a_nest_has_exactly_its_entries() -> None:
    number = Announced((), "float32")
    nest = AnnouncedNest([("a", "a", number), ("b", "b", AnnouncedNest([(0, "0", number)], keyed=False))], keyed=True)
    nest.check({"a": 1.0, "b": [2.0]}, "here")
    for value, said in (
        ({"a": 1.0}, "here: expected an entry 'b', found"),
        ({"a": 1.0, "b": (2.0,), "c": 0}, "here: found 'c', which is not declared"),
        ({"a": 1.0, "b": (2.0, 3.0)}, r"here\.b: expected 1 entries, found 2"),
        ({"a": 1.0, "b": (NAN,)}, r"here\.b\.0: expected a finite number, found nan"),
        (None, r"here: expected entries \['a', 'b'\], found None"),
    ):
        with pytest.raises(SpecError, match=said):
            nest.check(value, "here")


@pytest.mark.parametrize("flag", [True, False, np.True_, 0, 1, 1.0, np.array(True), torch.tensor(False)])
def test_a_flag(flag: Any) -> None:
    check_flag(flag, "here")


@pytest.mark.parametrize("flag", [None, 2, NAN, "no", np.array([True]), {}, [[0], [0, 1]], torch.tensor([True])])
def test_what_is_no_flag(flag: Any) -> None:
    with pytest.raises(SpecError, match="here: expected true or false, found"):
        check_flag(flag, "here")


def test_the_mode_is_one_of_three() -> None:
    assert check_mode("full") == "full"
    assert check_mode(False) == "off", "as YAML reads it without quotes"
    with pytest.raises(ConfigError, match="checks: expected one of full, first, off, found 'always'"):
        check_mode("always")

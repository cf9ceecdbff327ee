"""Are two answers of envs the same, bit for bit, with their dtypes?"""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Of dicts, tuples, object arrays, arrays and numbers."""
    if isinstance(one, dict):
        assert set(one) == set(other), (where, set(one), set(other))
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, tuple) or (isinstance(one, np.ndarray) and one.dtype.kind == "O"):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}[{i}]")
    elif one is None or other is None:
        assert one is other, where
    else:
        assert np.asarray(one).dtype == np.asarray(other).dtype, (where, np.asarray(one).dtype, np.asarray(other).dtype)
        assert np.array_equal(one, other), (where, one, other)

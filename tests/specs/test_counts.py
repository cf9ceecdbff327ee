"""How many choices there are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from envcli.specs import Binary, Bounded, Categorical, MultiCategorical, MultiOneHot, OneHot, Unbounded
from envcli.specs.counts import choice_counts


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        (OneHot(4), 4),
        (OneHot(3, shape=[2, 3]), [3, 3]),
        (MultiOneHot([2, 3]), [2, 3]),
        (MultiOneHot([2, 3], shape=[2, 5]), [[2, 3], [2, 3]]),
        (Categorical(5), 5),
        (Categorical(5, shape=[2]), [5, 5]),
        (MultiCategorical([2, 3]), [2, 3]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_number_for_each_choice(spec: Any, counts: Any) -> None:
    assert choice_counts(spec).tolist() == counts


@pytest.mark.parametrize(
    "spec", [Bounded(0, 1, shape=[2]), Unbounded(2), Binary(3), Categorical(2, shape=[1], dtype=torch.bool)]
)
def test_what_is_no_choice_has_none(spec: Any) -> None:
    assert choice_counts(spec) is None

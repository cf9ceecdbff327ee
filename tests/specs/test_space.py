"""The boxes."""

from __future__ import annotations

import math

import pytest
import torch

from envcli.errors import SpecError
from envcli.specs import BinaryBox, BoxList, CategoricalBox, ContinuousBox
from envcli.specs.space import round_to_int64


def test_rounding_saturates() -> None:
    values = torch.tensor([0.5, 1.5, -0.5, 2.0**63, -(2.0**63), 1e300, -math.inf, 2.0**62], dtype=torch.float64)
    ends = [2**63 - 1, -(2**63), 2**63 - 1, -(2**63), 2**62]
    assert round_to_int64(values).tolist() == [0, 2, 0, *ends]
    assert round_to_int64(torch.tensor([True])).tolist() == [1]
    assert round_to_int64(torch.tensor([2.0**63 - 1024], dtype=torch.float64)).tolist() == [2**63 - 1024]


def test_equal_bounds_are_stored_once() -> None:
    box = ContinuousBox(torch.zeros(100), torch.ones(100))
    assert box.ends == (0.0, 1.0)
    assert box.low.untyped_storage().nbytes() == 4
    assert box.low.shape == (100,)
    assert ContinuousBox(torch.zeros(2), torch.tensor([1.0, 2.0])).ends is None


def test_clipping_and_containing() -> None:
    box = ContinuousBox(torch.tensor([0, 10]), torch.tensor([5, 15]))
    assert box.clip(torch.tensor([[7, 7], [-1, 99]])).tolist() == [[5, 10], [0, 15]]
    assert box.contains(torch.tensor([5, 10]))
    assert not box.contains(torch.tensor([6, 10]))
    assert box.contains(torch.zeros(0, 2, dtype=torch.int64))


def test_comparing() -> None:
    box = ContinuousBox(torch.zeros(2), torch.ones(2))
    assert box == ContinuousBox(torch.zeros(2), torch.tensor([1.0, 1.0]))
    assert box != ContinuousBox(torch.zeros(3), torch.ones(3))
    assert box != ContinuousBox(torch.zeros(2), torch.tensor([1.0, 2.0]))
    assert box != ContinuousBox(torch.zeros(2).double(), torch.ones(2).double())
    assert box != "box"
    assert CategoricalBox(2) == CategoricalBox(2) != CategoricalBox(3)


def test_impossible_boxes() -> None:
    for low, high in [(1.0, 0.0), (math.nan, 0.0), (0.0, math.nan)]:
        with pytest.raises(SpecError, match="low must not exceed high"):
            ContinuousBox(torch.tensor(low), torch.tensor(high))
    with pytest.raises(SpecError, match="some finite number"):
        ContinuousBox(torch.tensor(-math.inf), torch.tensor(-math.inf))
    with pytest.raises(SpecError, match="at least 1, found 0"):
        CategoricalBox(0)


def test_a_list_of_boxes() -> None:
    boxes = BoxList.of(torch.tensor([2, 3]))
    assert isinstance(boxes, BoxList)
    assert list(boxes) == [CategoricalBox(2), CategoricalBox(3)]
    assert (len(boxes), boxes[1].n) == (2, 3)
    assert repr(boxes) == "BoxList(boxes=[CategoricalBox(n=2), CategoricalBox(n=3)])"
    assert BoxList.of(torch.tensor([[2, 3]])) == BoxList((boxes,))
    assert repr(BinaryBox(3)) == "BinaryBox(n=3)"


def test_the_two_bounds_one_after_the_other() -> None:
    low, high = ContinuousBox(torch.zeros(3), torch.ones(3))
    assert (low.tolist(), high.tolist()) == ([0.0] * 3, [1.0] * 3)


def test_bounds_do_not_change_and_the_cure_is_told() -> None:
    box = ContinuousBox(torch.zeros(3), torch.ones(3))
    for name in ("low", "high"):
        with pytest.raises(AttributeError, match="Replace the spec: spec = Bounded"):
            setattr(box, name, torch.zeros(3))

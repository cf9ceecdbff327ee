"""Spaces of gym's as gymnasium's: look-alikes stand for gym's, which is not installed."""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from envcli.errors import ConfigError
from envcli.gym.old_spaces import as_gymnasium, kind_of

BoxSpace = namedtuple("BoxSpace", "low, high, shape, dtype")  # as crafter has it


def old(kind: str, **attributes: Any) -> Any:
    """A space of a class called ``kind``, as gym's has these ``attributes``."""
    return type(kind, (SimpleNamespace,), {})(**attributes)


BOX = old("Box", low=np.zeros(2, np.float32), high=np.ones(2, np.float32), shape=(2,), dtype=np.dtype("float32"))


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (BOX, spaces.Box(0, 1, (2,), np.float32)),
        (BoxSpace(0, 255, (np.int64(4), np.int64(4), 3), np.uint8), spaces.Box(0, 255, (4, 4, 3), np.uint8)),
        (old("Discrete", n=3), spaces.Discrete(3)),
        (old("Discrete", n=np.int64(3), start=-1), spaces.Discrete(3, start=-1)),
        (old("MultiDiscrete", nvec=[2, 3]), spaces.MultiDiscrete([2, 3])),
        (old("MultiBinary", n=4), spaces.MultiBinary(4)),
        (old("MultiBinary", n=(2, 3)), spaces.MultiBinary([2, 3])),
        (old("Tuple", spaces=(BOX, old("Discrete", n=2))), spaces.Tuple([as_gymnasium(BOX), spaces.Discrete(2)])),
        (old("Dict", spaces={"a": old("Discrete", n=2)}), spaces.Dict(a=spaces.Discrete(2))),
    ],
)
def test_what_has_a_fixed_shape(space: Any, expected: spaces.Space[Any]) -> None:
    assert as_gymnasium(space) == expected


def test_a_class_counts_by_its_base_too() -> None:
    Buttons = type("Buttons", (type(old("Discrete")),), {})
    assert as_gymnasium(Buttons(n=8)) == spaces.Discrete(8)
    assert kind_of(Buttons) is None  # a class is no space


def test_gymnasiums_own_stay_as_they_are() -> None:
    words = spaces.Text(5)
    assert as_gymnasium(words) is words


def test_others_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"is no Box, .* or Tuple, so it has no fixed shape"):
        as_gymnasium(old("Sequence", feature_space=BOX))

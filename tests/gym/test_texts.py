"""Texts in gymnasium's observations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from envcli.errors import ConfigError, SpecError
from envcli.gym.spaces import announced, space_to_spec
from envcli.gym.texts import TextRoom, with_room
from envcli.specs import Text
from envcli.testing.gym_toys import Words


def room(space: spaces.Space[Any]) -> int:
    assert isinstance(space, TextRoom)
    return space.length


def test_a_text_has_the_room_of_its_longest() -> None:
    assert room(with_room(spaces.Text(5), 256)) == 5
    assert room(with_room(spaces.Text(5, charset="aé€"), 256)) == 15


def test_words_without_a_length_have_what_is_said() -> None:
    assert room(with_room(Words(), 256)) == 256
    with pytest.raises(ConfigError, match="text_length"):
        with_room(Words(), 0)


def test_texts_are_found_in_trees() -> None:
    box = spaces.Box(0, 1, (2,), np.float32)
    space = spaces.Dict({"z": box, "a": spaces.Tuple((box, spaces.Text(3)))})
    found = with_room(space, 256)
    assert isinstance(found, spaces.Dict)
    assert list(found.spaces) == list(space.spaces)
    assert found["z"] is box
    assert room(found["a"][1]) == 3
    spec: Any = space_to_spec(found)
    assert spec["a", "1"] == Text(3)
    assert isinstance(spec["a", "1"], Text)


def test_what_has_no_texts_stays_the_same() -> None:
    space = spaces.Dict(a=spaces.Tuple((spaces.Discrete(2),)), b=spaces.Graph(spaces.Discrete(2), None))
    assert with_room(space, 256) is space


def test_what_does_not_fit_says_what_to_type() -> None:
    with pytest.raises(SpecError, match=r"at most 4 bytes of text, found 5.*backend\.text_length=16"):
        announced(with_room(Words(), 4)).check("hello", "mission")
    with pytest.raises(SpecError, match=r"at most 4 bytes.*Fix the simulator"):
        announced(with_room(spaces.Text(4), 256)).check("hello", "mission")

"""Texts in gymnasium's observations: what MiniGrid's missions say."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from gymnasium import spaces

from envcli.rows.announced import CURE
from envcli.vocabulary.schema import at_least

__all__ = ["TextRoom", "with_room"]

Space = spaces.Space[Any]


class TextRoom(spaces.Space[str]):
    """Texts of at most ``length`` bytes in UTF-8; ``cure``: what to do about a longer one."""

    def __init__(self, length: int, cure: str) -> None:
        super().__init__(None, str)
        self.length, self.cure = length, cure

    def __repr__(self) -> str:
        return f"TextRoom({self.length})"


def with_room(space: Space, length: int) -> Space:
    """``space``, or one like it where each text in it is a :class:`TextRoom`.

    A ``Text`` has as much room as its longest member takes. Other spaces of words, such as MiniGrid's ``MissionSpace``,
    do not say how long these may be: they have ``length`` bytes. Texts of up to 166 bytes were seen in MiniGrid's envs.
    """
    match space:
        case spaces.Dict():
            named = OrderedDict((name, with_room(inner, length)) for name, inner in space.spaces.items())
            return space if all(inner is space.spaces[name] for name, inner in named.items()) else spaces.Dict(named)
        case spaces.Tuple():
            ordered = [with_room(inner, length) for inner in space.spaces]
            same = all(new is old for new, old in zip(ordered, space.spaces, strict=True))
            return space if same else spaces.Tuple(ordered)
        case spaces.Text():
            return TextRoom(
                space.max_length * max((len(letter.encode()) for letter in space.characters), default=1), CURE
            )
    if space.dtype is not None and space.dtype.kind == "U":
        at_least("text_length", length, 1)
        return TextRoom(length, f"Make room: backend.text_length={4 * length}, in Python text_length={4 * length}")
    return space

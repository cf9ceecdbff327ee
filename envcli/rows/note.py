"""What an env notes of where it is, for who watches from outside; and what is noted for it."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import TypeAlias

__all__ = ["HALT", "MADE", "PHASE", "PLACE", "ROW", "VAGUE", "Note", "new_note"]

PLACE, PHASE, ROW, MADE, HALT, VAGUE = range(6)
"""Which env of several; what it does; in which row; whether all have made a row since they were built; whether the rows
that are left are not wanted any more; and whether it may be in a later row than the one noted."""

Note: TypeAlias = MutableSequence[int] | memoryview
"""Six numbers. To write one takes 10 ns in a list, 40 in memory that is shared."""


def new_note() -> list[int]:
    """A note that nobody watches."""
    return [0] * 6

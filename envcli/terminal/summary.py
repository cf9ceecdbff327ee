"""What a command did, in a few lines for people, each with a label and a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["summary"]


def summary(rows: Iterable[tuple[str, str]]) -> Text:
    """Two columns, whatever the width of the terminal.

    The terminal itself wraps longer lines. It inserts nothing, so a path or a command can be copied whole.

    >>> print(summary([("steps", "10"), ("kept in", "outputs/rollout")]))
    steps    10
    kept in  outputs/rollout
    """
    from rich.text import Text

    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    lines = (Text.assemble((name.ljust(width), "bold"), "  ", said) for name, said in rows)
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "ignore"
    return text

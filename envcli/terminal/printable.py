"""Text of others, fit for a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """``text`` with everything replaced that would move a cursor, change colours or reading order, or not be UTF-8.

    So is any space but the plain one, and what joins emoji. Line breaks stay.

    >>> printable("a \\x1b[2J\\u202eb")
    'a \\ufffd[2J\\ufffdb'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)

"""Foreign text, made safe for a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """``text`` without what would move the cursor, change colours or the reading order, or is not valid UTF-8.

    Each such character becomes U+FFFD; so does every space but the plain one, and what joins emoji. Line breaks stay.

    >>> printable("a \\x1b[2J\\u202eb")
    'a \\ufffd[2J\\ufffdb'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)

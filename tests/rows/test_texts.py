"""Texts in rows of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from envcli.errors import SpecError
from envcli.rows.strict_rows import strict_rows
from envcli.rows.texts import AnnouncedText, TextRows


def test_rows_take_texts() -> None:
    rows = np.full((4, 3), 9, np.uint8)
    texts = TextRows(rows)
    for t, text in enumerate(["go", "go", "left"[:3], ""]):
        texts[t] = text
    assert [bytes(row) for row in rows] == [b"go\0", b"go\0", b"lef", b"\0\0\0"]


def test_rows_take_nothing_else() -> None:
    texts = TextRows(np.zeros((2, 3), np.uint8))
    with pytest.raises(TypeError, match="expected a text, found None"):
        texts[0] = None  # type: ignore[assignment]
    with pytest.raises(ValueError, match="at most 3 bytes of text, found 4: 'left'"):
        texts[0] = "left"
    texts[1] = "go"  # a refusal leaves nothing behind


def test_what_is_announced() -> None:
    announced = AnnouncedText(3, "Make room")
    announced.check("ab", "here")
    with pytest.raises(SpecError, match=r"here: expected a text, found 3\. Fix the simulator"):
        announced.check(3, "here")
    with pytest.raises(SpecError, match=r"here: expected at most 3 bytes of text, found 4: 'left'\. Make room"):
        announced.check("left", "here")


def test_strict_rows_look_at_each() -> None:
    rows = np.zeros((2, 3), np.uint8)
    strict = strict_rows(AnnouncedText(3), TextRows(rows), "here")
    strict[0] = "ab"
    assert strict.whole(0, 1) == 1
    assert bytes(rows[0]) == b"ab\0"
    with pytest.raises(SpecError, match="here: expected a text, found None"):
        strict[1] = None

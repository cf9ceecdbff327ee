from __future__ import annotations

import pytest

from envcli.terminal.printable import printable


@pytest.mark.parametrize(
    "text", ["", "plain", "two\nlines\n", "Übung, 日本語, עברית, 🙂", "a b  c", "\\x1b[2J is only spelt here"]
)
def test_what_does_no_harm_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "harm",
    [
        "\x1b",  # begins a command to the terminal
        "\x9b",  # the same in one byte
        "\r",
        "\b",
        "\x07",
        "\x00",
        "\x7f",
        "\u202e",  # turns the reading order round
        "\u2066",
        "\u200f",
        "\u2028",  # breaks a line
        "\ud800",  # is not UTF-8
    ],
)
def test_what_moves_a_cursor_or_turns_the_order_is_replaced(harm: str) -> None:
    found = printable(f"a\n{harm}b")
    assert found == "a\n\ufffdb"
    assert found.encode("utf-8")

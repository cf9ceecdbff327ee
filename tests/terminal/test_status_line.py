from __future__ import annotations

import os
import sys

import pytest

from envcli.terminal.status_line import status_line


def test_nothing_is_said_into_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with status_line() as say:
        say("measuring")
    assert capsys.readouterr() == ("", "")


def test_a_text_takes_the_place_of_the_last_and_none_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((6, 24)))
    with status_line() as say:
        say("a")
        say("too long")
    assert capsys.readouterr() == ("", "\r\x1b[Ka\r\x1b[Ktoo l\r\x1b[K")

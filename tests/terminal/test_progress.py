from __future__ import annotations

import io
import sys

import pytest

from envcli.terminal import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    monkeypatch.setattr(progress, "_REST", 0)
    monkeypatch.setenv("TERM", "xterm")


def test_a_bar_with_steps_and_speed(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress(10_000, "rollout") as bar:
        bar(3)
        bar(10_000)
    assert "rollout" in terminal.getvalue()
    assert "     3/10,000" in terminal.getvalue()
    assert "10,000/10,000" in terminal.getvalue()
    assert "steps/s" in terminal.getvalue()


def test_short_work_needs_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress(10, "rollout") as bar:
        bar(10)
    assert terminal.getvalue() == ""


def test_no_bar_into_a_file(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with progress.Progress(10, "rollout") as bar:
        bar(10)
    assert file.getvalue() == ""

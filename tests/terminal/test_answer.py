"""What a command answers on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Group
from rich.table import Table

from envcli.terminal.answer import answer, answers_alone, number, relative_path


def never() -> str:
    raise AssertionError("nothing is drawn for a program")


def test_a_program_gets_json_that_any_parser_reads(capsys: pytest.CaptureFixture[str]) -> None:
    answer({"x": float("nan"), "shape": (2, 3), "name": "é\x1b"}, never, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"x": None, "shape": [2, 3], "name": "é\x1b"}


def test_into_a_pipe_no_line_is_cut_or_filled_up(capsys: pytest.CaptureFixture[str]) -> None:
    def draw() -> Table:
        table = Table(box=None)
        for name in ("name", "what"):
            table.add_column(name)
        table.add_row("a", "word " * 100 + "end")
        table.add_row("b", "short")
        return table

    answer({}, draw, as_json=False)
    head, first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("word word end")
    assert (head.split(), second.split()) == (["name", "what"], ["b", "short"])
    assert head == head.rstrip()


def test_what_others_named_is_text_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    answer({}, lambda: "[bold]run[/bold] :smile: \x1b[2J\u202e", as_json=False)
    assert capsys.readouterr().out == "[bold]run[/bold] :smile: \ufffd[2J\ufffd\n"


def test_while_json_stands_alone_all_else_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with answers_alone():
        print("a simulator's greeting")
        answer([1], never, as_json=True)
    print("later")
    found = capsys.readouterr()
    assert found.out == "[\n  1\n]\nlater\n"
    assert found.err == "a simulator's greeting\n"


def test_an_error_ends_that_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="x"), answers_alone():
        raise ValueError("x")
    print("later")
    assert capsys.readouterr().out == "later\n"


def test_what_a_library_in_c_prints_goes_to_stderr_too() -> None:
    script = (
        "import os; from envcli.terminal.answer import *\n"
        "with answers_alone():\n"
        "    os.write(1, b'from C\\n'); answer([1], None, True); os.system('echo from a child')\n"
        "os.write(1, b'later\\n')"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[\n  1\n]\nlater\n"
    assert done.stderr == "from C\nfrom a child\n"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, "-"),
        (0, "0"),
        (12345, "12,345"),
        (1234.5, "1,234"),
        (0.012345, "0.01235"),
        (-0.5, "-0.5"),
        (1e-9, "1e-09"),
    ],
)
def test_numbers_are_short(value: float | None, read: str) -> None:
    assert number(value) == read


def test_a_path_below_here_is_told_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert relative_path(tmp_path / "here" / "runs" / "a") == "runs/a"
    assert relative_path(tmp_path / "there") == str(tmp_path / "there")
    assert relative_path(Path("runs/a")) == "runs/a"


def test_a_word_that_is_longer_than_its_column_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    rows = Table("name")
    rows.add_row("A" * 50 + "-v5")
    answer({}, lambda: Group(rows), as_json=False)
    shown = "".join(line.strip("│ ") for line in capsys.readouterr().out.splitlines())
    assert "A" * 50 + "-v5" in shown

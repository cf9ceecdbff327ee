"""The one style of tables."""

from __future__ import annotations

import ast

import pytest
from rich.table import Table

from envcli.terminal.table import empty_table
from tests.conftest import ROOT


def test_a_table_is_lines_of_words(capsys: pytest.CaptureFixture[str]) -> None:
    from envcli.terminal.answer import answer

    drawn = empty_table("env", "steps", "note", right=["steps"], title="The steps of two [envs]")
    drawn.add_row("pong", "7", "")
    drawn.add_row("cartpole", "200", "long")
    answer([], lambda: drawn, as_json=False)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "The steps of two [envs]"
    assert rows == ["env       steps  note", "─" * 21, "pong          7", "cartpole    200  long"]
    assert isinstance(drawn, Table)


def test_no_other_room_draws_a_table_of_its_own() -> None:
    ours = ROOT / "envcli" / "terminal" / "table.py"
    calls = {
        path.relative_to(ROOT)
        for path in (ROOT / "envcli").rglob("*.py")
        if path != ours
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Table"
    }
    assert not calls

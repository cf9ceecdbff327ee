"""What the README tells people to type can be typed."""

from __future__ import annotations

import ast
import builtins
import re

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [
    line.removeprefix("$ ")
    for language, text in BLOCKS
    if not language
    for line in text.replace("\\\n", " ").splitlines()
    if re.match(r"(\$ )?envcli( |$)", line)
]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.splitlines()[0][:40])
def test_a_block_of_python_uses_only_names_that_it_defines(block: str) -> None:
    tree = ast.parse(block)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    known = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
    assert {node.id for node in names} <= known


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_taken_by_zsh_which_expands_what_is_not_quoted(line: str) -> None:
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", line).partition(" #")[0]
    assert not re.search(r"[]\[(){}*?~]", bare)


def test_every_link_within_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors

"""What is to be typed is read back by the shell and by Hydra as what was meant."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from envcli.typed_word import quoted, shell_word, word

TEXTS = [
    "outputs/rollout/CartPole-v1/2025-01-31_12-00-00-000000",
    "sp ace ü/r 2",
    "it's",
    'a "b" c',
    "a\\b",
    "a\\",
    "a\\'b",
    "a\\\\'",
    "$HOME/`x`!",
    "a,b",
    "[a]",
    "{a: b}",
    "a=b",
    "~",
    "*?",
    "10",
    "1e3",
    "true",
    "null",
    "(a)",
    "#a",
    "a;b&c|d",
    "ends in a line break\\\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_hydra_reads_what_the_shell_hands_on(text: str) -> None:
    (typed,) = shlex.split(word("resume", text))
    override = OverridesParser.create().parse_override(typed)
    assert override.key_or_group == "resume"
    assert override.value() == text
    assert OverridesParser.create().parse_override(f"resume={quoted(text)}").value() == text
    assert shlex.split(shell_word(text)) == [text]


def test_what_is_plain_stays_plain() -> None:
    assert word("resume", TEXTS[0]) == f"resume={TEXTS[0]}"
    assert word("resume", TEXTS[1]) == '''"resume='sp ace ü/r 2'"'''

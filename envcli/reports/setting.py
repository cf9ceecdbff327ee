"""The values of overrides in one spelling, so that equal values are equal texts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from envcli.override import Override, parsed

__all__ = ["settings"]

_INT = re.compile(r"[+-]?(0|[1-9]\d*(_\d+)*)", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+(_\d+)*\.?|\d*\.\d+|\d+\.\d*)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WORDS = ("true", "false", "null")
_PLAIN = re.compile(r"[\w./:+-]+")
_PART = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[\[\]{},:]|[^\[\]{},:'\"]+|.", re.DOTALL)
_LONGEST = 40  # characters of a number: Python refuses very long ones, which a stranger's file may hold


def settings(words: Sequence[str]) -> dict[str, str]:
    """Key -> value of overrides; values that Hydra reads as equal are the same text, and others are not.

    >>> settings(["max_steps=1_000", "+break_when_any_done=True", "~transforms.resize", "transforms=[a, 'b']"])
    {'max_steps': '1000', 'break_when_any_done': 'true', '~transforms.resize': 'removed', 'transforms': '[a,b]'}
    """
    return dict(map(_setting, parsed(words)))


def _setting(override: Override) -> tuple[str, str]:
    if override.removes:
        return str(replace(override, value=None)), "removed"
    typed = re.sub(r"\\(.)", r"\1", override.text)  # Hydra puts a backslash before colons and the like
    return str(replace(override, sign="", value=None)), _spelt(typed)


def _spelt(value: str) -> str:
    """One spelling of ``value``.

    >>> [_spelt(text) for text in ("1e-3", "1.0", "TRUE", "'a b'", '"a"', "1.0.0", "007", "{a: 1_0, b: [x, .5]}")]
    ['0.001', '1', 'true', "'a b'", 'a', '1.0.0', '007', '{a:10,b:[x,0.5]}']
    """
    if value[:1] in ("[", "{"):
        return "".join(_scalar(part.strip()) for part in _PART.findall(value))
    return _scalar(value.strip())


def _scalar(text: str) -> str:
    if text.lower() in _WORDS:
        return text.lower()
    if len(text) <= _LONGEST:
        if _INT.fullmatch(text):
            return str(int(text))
        if re.search(r"[.eE]", text) and _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    quote, inner = text[:1], text[1:-1]
    if len(text) > 1 and quote in "'\"" and text[-1] == quote and not re.search(r"['\"\\]", inner):
        return inner if _PLAIN.fullmatch(inner) else f"'{inner}'"
    return text

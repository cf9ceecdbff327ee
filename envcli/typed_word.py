"""A word to type: ``key=value`` as the shell and Hydra read it back."""

from __future__ import annotations

import os
import re
import shlex

__all__ = ["quoted", "shell_word", "word"]

_BARE = re.compile(r"[\w./:+@%-]+", re.ASCII)  # to Hydra a text as it is
_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|true|false|null|nan|[+-]?inf", re.IGNORECASE)
_OPEN = re.compile(r'["$`\\!\n]')  # means something to the shell within double quotes


def word(key: str, value: str | os.PathLike[str]) -> str:
    """``key=value`` as it is typed after ``envcli``, whatever ``value`` holds.

    >>> print(word("resume", "outputs/1"), word("resume", "my runs/1"), word("resume", "it's"))
    resume=outputs/1 "resume='my runs/1'" 'resume='"'"'it\\'"'"'s'"'"''
    """
    text = os.fspath(value)
    plain = _BARE.fullmatch(text) and not _NUMBER.fullmatch(text)
    return shell_word(f"{key}={text if plain else quoted(text)}")


def quoted(text: str) -> str:
    """``text`` in the single quotes of Hydra.

    >>> print(quoted("it's"))
    'it\\'s'
    """
    # Hydra takes backslashes for what they are, but before a quote
    escaped = re.sub(r"(\\*)('|\Z)", lambda at: at[1] * 2 + ("\\'" if at[2] else ""), text)
    return f"'{escaped}'"


def shell_word(text: str) -> str:
    """``text`` as one word of a shell; what holds single quotes in double ones, where that is enough.

    >>> print(shell_word("a"), shell_word("a b"), shell_word("a='b c'"))
    a 'a b' "a='b c'"
    """
    return f'"{text}"' if "'" in text and not _OPEN.search(text) else shlex.quote(text)

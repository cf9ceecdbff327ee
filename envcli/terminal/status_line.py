"""One line on stderr that says what is being done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["status_line"]


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """Yields a function that replaces the text of the line; it does nothing if stderr is not a terminal.

    Nothing is drawn between two calls, as a drawing thread would slow what is measured. At the end the line is empty.
    """
    visible = sys.stderr.isatty()

    def say(text: str) -> None:
        if visible:
            print(f"\r\x1b[K{text[: os.get_terminal_size(2).columns - 1]}", end="", file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        say("")

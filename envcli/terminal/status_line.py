"""One line on stderr that says what goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["status_line"]


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """Yields a function that puts a text on that line, in place of the last; silent where stderr is no terminal.

    Nothing is drawn between two calls: a drawing thread would cost what is measured. The line is empty at the end.
    """
    visible = sys.stderr.isatty()

    def say(text: str) -> None:
        if visible:
            print(f"\r\x1b[K{text[: os.get_terminal_size(2).columns - 1]}", end="", file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        say("")

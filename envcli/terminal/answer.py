"""The answer of a command: a table or tree for people, or JSON for programs, on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from envcli.errors import StoreError
from envcli.folders.json_file import plain
from envcli.terminal.printable import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

__all__ = ["answer", "answers_alone", "kept", "number", "relative_path", "say_kept_in", "three_digits", "to_stdout"]

_STDOUT, _STDERR = 1, 2


_alone: list[TextIO] = []  # where answers go while everything else goes to stderr
_kept: list[list[Any]] = []  # lists that take it instead of stdout; Any: what JSON can hold


@contextmanager
def answers_alone() -> Iterator[None]:
    """Inside, only answers are on stdout; whatever simulators or workers print is on stderr. It nests."""
    if _alone or sys.stdout is None:  # it was closed before Python began
        yield
        return
    try:
        ours = sys.stdout.fileno() == _STDOUT
    except OSError:  # it is not a file, as in a test
        ours = False
    sys.stdout.flush()
    with ExitStack() as stack:
        stdout = sys.stdout
        if ours:
            stdout = os.fdopen(os.dup(_STDOUT), "w", encoding=stdout.encoding, errors=stdout.errors)
            stack.callback(_close, stdout)
            stack.callback(os.dup2, stdout.fileno(), _STDOUT)
            os.dup2(_STDERR, _STDOUT)
        _alone.append(stdout)
        stack.callback(_alone.pop)
        stack.callback(sys.stdout.flush)
        stack.enter_context(redirect_stdout(sys.stderr))
        yield


@contextmanager
def kept(answers: list[Any]) -> Iterator[None]:
    """Inside, the data of each :func:`answer` in JSON is added to ``answers`` instead of printed."""
    _kept.append(answers)
    try:
        yield
    finally:
        _kept.pop()


def answer(data: Mapping[str, Any] | Sequence[Any], draw: Callable[[], RenderableType], as_json: bool) -> None:
    """Print ``data`` as JSON, or what ``draw`` makes of it.

    In a pipe nothing is cut or wrapped to a terminal's width, so ``grep`` finds whole lines.

    Raises:
        StoreError: stdout takes no more, as on a full disk.
    """
    if as_json and _kept:
        _kept[-1].append(plain(data))
        return
    if as_json:
        text = json.dumps(plain(data), indent=2, allow_nan=False)
        with to_stdout():
            print(text, file=_out(), flush=True)
        return
    from rich.console import Console

    console = Console(file=_out(), soft_wrap=False, highlight=False, markup=False, emoji=False)
    drawing = _uncut(draw())
    if not console.is_terminal:
        unlimited = console.options.update(max_width=10_000)
        console.width = max(console.width, console.measure(drawing, options=unlimited).maximum)
        with to_stdout():
            with console.capture() as capture:  # captured, because rich would write to stdout at its end
                console.print(_Printable(drawing), crop=False)
            print("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")), file=_out())
        return
    with to_stdout():
        console.print(_Printable(drawing), crop=False)


def _out() -> TextIO:
    return _alone[-1] if _alone else sys.stdout


def _close(stdout: TextIO) -> None:
    with to_stdout():
        stdout.close()


@contextmanager
def to_stdout() -> Iterator[None]:
    """Inside, only stdout is written to, so an OSError such as a full disk is reported as stdout's, not a run's."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreError(f"stdout: {(error.strerror or str(error)).lower()}") from error


def _uncut(drawing: RenderableType) -> RenderableType:
    """``drawing``, where a word longer than its table column is folded; rich would cut it."""
    from rich.console import Group
    from rich.table import Table

    for part in drawing.renderables if isinstance(drawing, Group) else [drawing]:
        if isinstance(part, Table):
            for column in part.columns:
                column.overflow = "fold"
    return drawing


class _Printable:
    """A drawing without control characters: names in run folders and data sets may contain some."""

    def __init__(self, drawing: RenderableType) -> None:
        self._drawing = drawing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._drawing, options):
            yield segment._replace(text=printable(segment.text))


def number(value: float | int | None) -> str:
    """A number for people: four significant digits, with thousands separators.

    >>> number(1234567.8), number(-3.14159), number(None), number(1000), number(999.96)
    ('1,234,568', '-3.142', '-', '1,000', '1,000')
    """
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 999.95:  # four digits round it to 1000
        return f"{value:,.0f}"
    return f"{value:.4g}"


def three_digits(value: float) -> str:
    """A number for people, where the fourth digit is noise.

    >>> three_digits(-1834.2), three_digits(0.061234), three_digits(float("nan"))
    ('-1,830', '0.0612', 'nan')
    """
    return number(float(f"{value:.3g}"))


def relative_path(path: Path) -> str:
    """A path for people: relative if it is below the working directory, else as it is."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def say_kept_in(folder: Path, as_json: bool) -> None:
    """Print where the results are, unless the answer is JSON, which stands alone."""
    if not as_json:
        with to_stdout():
            print(f"kept in {relative_path(folder)}", file=_out())

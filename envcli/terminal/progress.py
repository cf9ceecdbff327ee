"""A progress bar on stderr, for work that takes over a second."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.progress

__all__ = ["Progress"]

_PATIENCE = 1.0  # seconds before a bar appears: short work needs none
_REST = 0.1  # seconds between two drawings: drawing costs more than a hundred env steps


class Progress:
    """Call it with the steps done; it draws a bar with steps/s on a terminal, once the work takes over a second."""

    def __init__(self, total: int, title: str) -> None:
        self._total = total
        self._title = title
        self._visible = sys.stderr.isatty()
        self._next = time.perf_counter() + _PATIENCE
        self._bar: rich.progress.Progress | None = None
        self._task: rich.progress.TaskID | None = None

    def __call__(self, steps: int) -> None:
        """Say that ``steps`` are done."""
        if not self._visible or time.perf_counter() < self._next:
            return
        if self._bar is None:
            self._bar, self._task = self._start()
        assert self._task is not None
        self._bar.update(self._task, completed=steps, refresh=True)
        self._next = time.perf_counter() + _REST

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _start(self) -> tuple[rich.progress.Progress, rich.progress.TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
        from rich.text import Text

        class Done(ProgressColumn):
            """Steps done, of all."""

            def render(self, task: Task) -> Text:
                total = f"{task.total:,.0f}"
                return Text(f"{task.completed:,.0f}/{total}".rjust(2 * len(total) + 1))

        class Speed(ProgressColumn):
            """Steps per second since the bar appeared."""

            def render(self, task: Task) -> Text:
                return Text(f"{task.speed or 0:,.0f} steps/s")

        columns = ("{task.description}", BarColumn(), Done(), Speed(), TimeRemainingColumn())
        # No thread of its own: a drawing thread would take the interpreter lock from the env.
        bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        bar.start()
        return bar, bar.add_task(self._title, total=self._total)

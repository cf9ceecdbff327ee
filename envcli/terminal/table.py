"""The one style of all tables: a line below the head, and nothing else that a copied column would carry along."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["empty_table"]


def empty_table(*columns: str, right: Collection[str] = (), title: str = "") -> Table:
    """An empty table with these columns; those in ``right`` are numbers, and end at the same place.

    >>> from rich.console import Console
    >>> found = empty_table("env", "steps", right=["steps"])
    >>> found.add_row("pong", "7")
    >>> found.add_row("cartpole", "200")
    >>> Console(width=30).print(found)
    env       steps
    ───────────────
    pong          7
    cartpole    200
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    drawn.title = Text(title, "bold", no_wrap=True, overflow="ignore") if title else None
    drawn.title_style, drawn.title_justify = "", "left"
    for name in columns:
        drawn.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    return drawn

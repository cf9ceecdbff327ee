"""A section of the page with a heading, by which screen readers find it."""

from __future__ import annotations

from envcli.reports.markup import Markup, tag

__all__ = ["section"]


def section(title: str, *children: str) -> Markup:
    """The section; its accessible name is its title."""
    name = title.lower().replace(" ", "-")
    return tag("section", tag("h2", title, id=name), *children, aria_labelledby=name)

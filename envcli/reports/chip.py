"""The coloured label of a state."""

from __future__ import annotations

from envcli.reports.markup import Markup, tag

__all__ = ["chip"]

_HARMLESS = ("finished", "running", "interrupted")


def chip(state: str, text: str = "") -> Markup:
    """The state, or a text about it; only known states become a class of the style sheet."""
    return tag("span", text or state, class_=f"chip {state if state in _HARMLESS else 'failed'}")

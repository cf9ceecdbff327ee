"""HTML and SVG, built so that no text can become markup."""

from __future__ import annotations

from html import escape

__all__ = ["Markup", "join", "tag"]

_VOID = {"img", "link", "meta"}


class Markup(str):
    """A string that is already markup. Any other string is text, and is escaped."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """An element. Attributes that are None are left out; ``class_`` becomes ``class``, ``font_size`` ``font-size``.

    >>> tag("a", "<b>", href='x"y', class_="far")
    '<a href="x&quot;y" class="far">&lt;b&gt;</a>'
    """
    given = {k.rstrip("_").replace("_", "-"): v for k, v in attributes.items() if v is not None}
    opening = "".join(f' {key}="{escape(str(value))}"' for key, value in given.items())
    return Markup(f"<{name}{opening}>" if name in _VOID else f"<{name}{opening}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """The pieces joined, with those that are not markup escaped."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))

"""Nested settings as one flat list."""

from __future__ import annotations

from envcli.vocabulary.dotted import dotted


def test_each_value_has_the_name_that_is_typed() -> None:
    nested = {
        "backend": {"options": {"gravity": 1.6}, "name": "X-v0"},
        "list": [{"a": 1}],
        "empty": {},
        "seed": None,
    }
    assert list(dotted(nested)) == [
        ("backend.options.gravity", 1.6),
        ("backend.name", "X-v0"),
        ("list", [{"a": 1}]),
        ("seed", None),
    ]
    assert list(dotted({"a": 1}, "config.")) == [("config.a", 1)]

"""Nested settings as one flat list, as they are typed: ``backend.options.gravity``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["dotted"]


def dotted(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:  # Any: whatever a setting holds
    """The values of nested ``settings``, each with its dotted name, which begins with ``above``.

    >>> dict(dotted({"policy": {"type": "random"}, "seed": 1}))
    {'policy.type': 'random', 'seed': 1}
    """
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value

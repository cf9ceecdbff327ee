"""What tells whether a contender did its work: how often, and with what, the simulator was called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

Calls = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """``calls(cls, name)`` lists the arguments of each call of that method from here on."""

    def listed(cls: type, name: str = "step") -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        method = getattr(cls, name)

        @functools.wraps(method)
        def call(self: Any, *args: Any, **options: Any) -> Any:
            found.append(args)
            return method(self, *args, **options)

        monkeypatch.setattr(cls, name, call)
        return found

    return listed

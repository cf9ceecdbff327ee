"""A function that a transform is given, itself or by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envcli.errors import ConfigError
from envcli.vocabulary.imported import function_of

__all__ = ["given_function", "name_of"]


def given_function(given: Any, where: str, takes: str, allow_imports: bool) -> Callable[..., Any]:
    """``given``, or if it is a name, as in a YAML, the function behind it.

    Raises ConfigError, beginning with ``where``, if there is none; ``takes`` says in words what one is called with.
    """
    found = function_of(given, where, allow_imports) if isinstance(given, str) else given
    if not callable(found):
        raise ConfigError(f"{where}: expected a function that takes {takes}, found {found!r}")
    function: Callable[..., Any] = found
    return function


def name_of(function: Callable[..., Any]) -> str:
    """What it is called; of an object that can be called, its class."""
    return str(getattr(function, "__qualname__", type(function).__name__))

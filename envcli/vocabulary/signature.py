"""The signature of a class or function as the schema of the node of a configuration that calls it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from envcli.errors import ConfigError, EnvcliError, TransformError, nearest

__all__ = ["arguments", "call", "listed"]

_PLAIN = {"int": "a whole number", "float": "a number", "bool": "true or false", "None": "null"}
_KEYS = {"NestedKey", "Sequence[NestedKey]", "None"}
_TREES = ("Mapping[", "dict[", "TensorDictBase", "Composite", "None")


def call(function: Callable[..., Any], node: Mapping[str, Any], where: str, **given: Any) -> Any:
    """Call ``function(**node, **given)``, after checking the node's keys against the signature.

    The keys of ``options`` in the node are passed on unchecked if the function takes ``**options``. Arguments that
    ``function`` lists in ``without_effect`` are refused: they exist for Python code written for TorchRL, not for YAML.
    """
    taken = arguments(function)
    node = dict(node)
    said = inspect.signature(function).parameters
    spread = [
        _checked(f"{where}.{name}", said[name], value)
        for name in listed(function)
        for value in _as_list(node.pop(name, None))
    ]
    extra = node.pop("options", None) or {} if "options" not in taken and _takes_anything(function) else {}
    if not isinstance(extra, Mapping):
        raise ConfigError(f"{where}.options: found {extra!r}, expected names and values. Type {where}.options.NAME=...")
    if clash := next((name for name in extra if name in taken), ""):
        key = clash if clash in given else f"{where}.{clash}"
        raise ConfigError(f"{where}.options.{clash}: is not one of the options. Type {key}=...")
    idle = getattr(function, "without_effect", ())
    for name in node:
        if name in idle:
            raise ConfigError(f"{where}.{name}: has no effect here, it exists only for TorchRL code. Leave it out.")
        if name not in taken or name in given:
            known = [k for k in taken if k not in given and k not in idle]
            raise ConfigError(f"{where}.{name}: no such key. {nearest(name, known)}")
    for name, parameter in taken.items():
        if parameter.default is parameter.empty and name not in node and name not in given:
            raise ConfigError(f"{where}.{name}: required but not given. Add {where}.{name}=...")
    for name, value in node.items():
        if value == "???":
            raise ConfigError(f"{where}.{name}: required but not given. Add {where}.{name}=...")
        node[name] = _checked(f"{where}.{name}", taken[name], value)
    given = {name: value for name, value in given.items() if name in taken}
    try:
        return function(*spread, **node, **extra, **given)
    except TransformError as error:  # a value that the transform does not take
        raise ConfigError(f"{where}: {error}") from error
    except EnvcliError as error:
        own = re.match(r"(\w+)[:.]", str(error))  # the message begins with an argument from the node
        if type(error) is ConfigError and own and own[1] in {*taken, "options"} - {*given}:
            cured = str(error).replace(f"Type: {own[1]}=", f"Type: {where}.{own[1]}=")
            raise ConfigError(f"{where}.{cured}") from error
        if type(error) is ConfigError and own and own[1] == getattr(function, "__name__", None):
            raise ConfigError(f"{where}: {error}") from error
        raise
    except (TypeError, ValueError, OverflowError) as error:  # a constructor's own; the cause keeps its traceback
        raise ConfigError(f"{where}: {error}") from error


def arguments(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The arguments that ``function`` takes by name, in order.

    >>> list(arguments(lambda a, *, b=1, **rest: None))
    ['a', 'b']
    """
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in inspect.signature(function).parameters.items() if p.kind in named}


def listed(function: Callable[..., Any]) -> list[str]:
    """The name of the ``*keys`` that ``function`` begins with, if any; a node gives these as a list.

    >>> listed(lambda *keys, b=1: None), listed(lambda a, *keys: None)
    (['keys'], [])
    """
    parameters = list(inspect.signature(function).parameters.values())
    return [p.name for p in parameters[:1] if p.kind is p.VAR_POSITIONAL]


def _checked(where: str, parameter: inspect.Parameter, value: Any) -> Any:  # Any: what a YAML holds
    """``value`` as ``parameter`` takes it, by its annotation.

    Raises `ConfigError` for anything else if only numbers, booleans, null or names and values are taken; and for giant
    numbers.
    """
    kinds = str(parameter.annotation).split(" | ")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ConfigError(f"{where}: found {value}, expected a number of at most 64 bits.")
    if all(kind.startswith(_TREES) for kind in kinds) and not isinstance(value, Mapping | None):
        raise ConfigError(f"{where}: found {value!r}, expected names and values, such as {{name: value}}.")
    if set(kinds) <= set(_PLAIN) and not any(_is(kind, value) for kind in kinds):
        raise ConfigError(f"{where}: found {value!r}, expected {' or '.join(_PLAIN[kind] for kind in kinds)}.")
    return _with_keys(where, kinds, value)


def _is(kind: str, value: object) -> bool:
    if isinstance(value, bool) or value is None:
        return kind == ("None" if value is None else "bool")
    return isinstance(value, int) if kind == "int" else kind == "float" and isinstance(value, int | float)


def _as_list(value: Any) -> list[Any]:  # Any: what a YAML holds
    return list(value or ()) if isinstance(value, list | None) else [value]


def _with_keys(where: str, kinds: list[str], value: Any) -> Any:  # Any: what a YAML holds
    """``value`` with nested keys as tuples of strings, if keys are taken; in YAML they are lists, and may be numbers.

    Raises `ConfigError` for what can be no key where nothing else is taken.

    >>> _with_keys("in_keys", ["Sequence[NestedKey]", "None"], [["agent", 1], "b", 0])
    [('agent', '1'), 'b', '0']
    """
    if "Sequence[NestedKey]" in kinds and isinstance(value, list):
        return [_with_keys(where, ["NestedKey"], one) for one in value]
    if not {"NestedKey", "Sequence[NestedKey]"}.isdisjoint(kinds):
        if isinstance(value, list) and value:
            return tuple(map(str, value))
        if _is("int", value):
            return str(value)
    if set(kinds) <= _KEYS and not (isinstance(value, str) or (value is None and "None" in kinds)):
        raise ConfigError(f"{where}: found {value!r}, expected the key of an entry: a name, or a list of nested names.")
    return value


def _takes_anything(function: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())

"""Finds by name what a YAML chooses: backends, transforms, policies, recorders, trackers and so on.

A family is a folder. ``type: step_counter`` is the class in ``envcli/transforms/step_counter.py`` whose name, folded,
equals the file's, with or without the family's suffix (``gym.py`` holds ``GymEnv``). Adding a member is adding a file.
Installed packages add theirs through the entry point group ``envcli.<family>``. The schema of a node is the signature
of its class.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from envcli.errors import ConfigError, EnvcliError, MissingDependency, TransformError, UnknownName, nearest
from envcli.installed import extensions

__all__ = [
    "FAMILIES",
    "arguments",
    "call",
    "construct",
    "find",
    "function_of",
    "imported",
    "listed",
    "members",
    "say_imported_elsewhere",
]

log = logging.getLogger(__name__)

FAMILIES = {  # folder -> the word for a member, the suffix that its class may have
    "backends": ("backend", "Env"),
    "contenders": ("contender", "Contender"),
    "dynamics": ("dynamics", "Dynamics"),
    "exports": ("export format", "Export"),
    "films": ("film format", "Film"),
    "policies": ("policy", "Policy"),
    "recorders": ("recorder", "Recorder"),
    "trackers": ("tracker", "Tracker"),
    "transforms": ("transform", "Transform"),
}

_PLAIN = {"int": "a whole number", "float": "a number", "bool": "true or false", "None": "null"}

_NO_TYPES = {  # no YAML can hold a function; several nodes are a Compose; these two are for what an env has made
    "callable_transform",
    "compose",
    "random_crop_tensor_dict",
    "reward2_go",
}

_ROOT = Path(__file__).parent.parent
_CLASS = re.compile(r"^class (\w+)\((.*)\):", re.MULTILINE)


def members(family: str) -> list[str]:
    """The names that ``type`` can have in a family, sorted. Imports no member.

    >>> "step_counter" in members("transforms")
    True
    """
    return sorted({*_files(family), *(found.name for found in extensions.extensions(f"envcli.{family}"))})


def find(family: str, name: str, where: str = "type", allow_imports: bool = False) -> type[Any]:
    """The class behind ``type: name``. ``where`` is the config path that messages give.

    Raises `UnknownName` with the nearest names, `MissingDependency` where the member's library is not installed, and
    `ConfigError` for ``my.module:Class`` unless ``allow_imports`` is true.
    """
    if ":" in name:
        module, _, wanted = name.partition(":")
        own = getattr(imported(name, where, allow_imports), wanted, None)
        if not isinstance(own, type):
            raise ConfigError(f"{where}: found {name!r}, but {module} has no class {wanted!r}.")
        return own
    if class_name := _files(family).get(name):
        found = getattr(_import(f"envcli.{family}.{name}", f"{where}={name}"), class_name)
    else:
        added = {found.name: found for found in extensions.extensions(f"envcli.{family}")}  # they replace none of ours
        if name not in added:
            raise UnknownName(FAMILIES[family][0], name, members(family), f"({where})")
        found = added[name].load()
    assert isinstance(found, type)
    return found


def construct(family: str, node: Mapping[str, Any], where: str, allow_imports: bool = False, **given: Any) -> Any:
    """The object that a config node describes: ``{"type": "step_counter", "max_steps": 5}``.

    ``given`` are arguments that do not come from the node; a class that does not take one of them is built without it.
    """
    cls = find(family, type_of(node, where), f"{where}.type", allow_imports)
    given["allow_imports"] = allow_imports  # some read files that could run code
    return call(cls, {k: v for k, v in node.items() if k != "type"}, where, **given)


def call(function: Callable[..., Any], node: Mapping[str, Any], where: str, **given: Any) -> Any:
    """Call ``function(**node, **given)``, after checking the node's keys against the signature.

    The keys of ``options`` in the node are passed on unchecked if the function takes ``**options``. Arguments that
    ``function`` lists in ``without_effect`` are refused: they exist for Python code written for TorchRL, not for YAML.
    """
    taken = arguments(function)
    node = dict(node)
    said = inspect.signature(function).parameters
    spread = [
        _with_keys(said[name].annotation, value) for name in listed(function) for value in node.pop(name, None) or ()
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
        _check_plain(f"{where}.{name}", str(taken[name].annotation).split(" | "), value)
        node[name] = _with_keys(taken[name].annotation, value)
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
    except (TypeError, ValueError) as error:  # a constructor's own refusal; the cause keeps its traceback
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


def type_of(node: Mapping[str, Any], where: str) -> str:
    """The ``type`` of a node, or a `ConfigError` that says it is missing."""
    name = node.get("type") if isinstance(node, Mapping) else None
    if not isinstance(name, str):
        raise ConfigError(f"{where}: found {node!r}, expected a mapping with a type, such as {{type: ...}}.")
    return name


def _check_plain(where: str, kinds: list[str], value: object) -> None:
    """Raise `ConfigError` for a word, a list or a node if only numbers, booleans or null are taken."""
    if isinstance(value, str | Mapping | list) and set(kinds) <= set(_PLAIN):
        raise ConfigError(f"{where}: found {value!r}, expected {' or '.join(_PLAIN[kind] for kind in kinds)}.")


def _with_keys(annotation: object, value: Any) -> Any:  # Any: what a YAML holds
    """``value`` with nested keys as tuples of strings, if the annotation takes keys; in YAML they are lists.

    >>> _with_keys("Sequence[NestedKey] | None", [["agent", 1], "b"]), _with_keys("NestedKey", ["a", "b"])
    ([('agent', '1'), 'b'], ('a', 'b'))
    """
    kinds = str(annotation).split(" | ")
    if isinstance(value, list) and "Sequence[NestedKey]" in kinds:
        return [_with_keys("NestedKey", one) for one in value]
    return tuple(map(str, value)) if isinstance(value, list) and "NestedKey" in kinds else value


def _takes_anything(function: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())


def _files(family: str) -> dict[str, str]:
    """File name -> class name, from the text of the files.

    A class without bases, or with ``ABC`` among them, is left out: its neighbours use it, and nobody chooses it.
    """
    contract, suffix = FAMILIES[family]
    found = {}
    for path in sorted((_ROOT / family).glob("*.py")):
        if path.stem.startswith("_") or path.stem in {contract, *_NO_TYPES}:
            continue
        folded = path.stem.replace("_", "")
        for class_name, bases in _CLASS.findall(path.read_text(encoding="utf-8")):
            if class_name.lower() in (folded, folded + suffix.lower()) and "ABC" not in re.findall(r"\w+", bases):
                found[path.stem] = class_name
    return found


def imported(name: str, where: str, allow_imports: bool) -> ModuleType:
    """The module of ``module:anything``. Only here is code imported that is not installed, and it is logged.

    Raises `ConfigError` unless ``allow_imports`` is true, and if there is no such module, with the nearest name.
    """
    if not allow_imports:
        raise ConfigError(f"{where}: {name!r} would import external code. If you trust it, add allow_imports=true.")
    module, _, wanted = name.partition(":")
    dotted = module.removesuffix(".py").strip("./").replace("/", ".") or "my_module"
    if module != dotted:  # usually a path
        raise ConfigError(f"{where}: found {name!r}, expected module:Name. Type: {where}={dotted}:{wanted}")
    new = module not in sys.modules
    with _working_directory_first():
        found = _import(module, f"{where}={name}")
    if new:
        log.info("allow_imports: imported %s from %s", module, getattr(found, "__file__", None) or "Python itself")
    return found


def function_of(name: str, where: str, allow_imports: bool) -> Callable[..., Any]:
    """The function behind ``module:name``, see :func:`imported`. Raises `ConfigError` if there is none."""
    module, _, wanted = name.partition(":")
    if not (module and wanted):
        raise ConfigError(f"{where}: found {name!r}, expected module:function, such as my_rules:{wanted or 'my_rule'}.")
    found = getattr(imported(name, where, allow_imports), wanted, None)
    if not callable(found):
        raise ConfigError(f"{where}: found {name!r}, but {module} has no function {wanted!r}.")
    return cast("Callable[..., Any]", found)


def say_imported_elsewhere(names: Iterable[str]) -> None:
    """Log which modules of ``module:anything`` the workers of a batch will import, since they do not log it."""
    for module in dict.fromkeys(name.partition(":")[0] for name in names if ":" in name):
        if module not in sys.modules:
            with _working_directory_first(), suppress(ImportError, ValueError):  # the workers will report it
                found = importlib.util.find_spec(module)
                place = getattr(found, "origin", None) or "its own import path"
                log.info("allow_imports: each worker imports %s from %s", module, place)


@contextmanager
def _working_directory_first() -> Iterator[None]:
    """Inside, modules in the working directory are found, as with ``python -m``; the ``envcli`` script lacks that."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _import(module: str, purpose: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"{purpose}: cannot import module {error.name!r}. {_beside(error.name)}") from error
        if str(error.name).partition(".")[0] == "envcli":
            raise  # a file of envcli is missing, which no package provides
        raise MissingDependency(str(error.name), purpose) from error


def _beside(module: str) -> str:
    """The module that was probably meant, and where it was looked for."""
    above = module.rpartition(".")[0]
    places = sys.modules[above].__path__ if above in sys.modules else [str(Path.cwd())]
    known = [f"{above}.{found.name}".lstrip(".") for found in pkgutil.iter_modules(places)]
    elsewhere = "" if above else ", in PYTHONPATH and among the installed packages"
    close = f"{nearest(module, known)} " if known else ""
    return f"{close}Looked for in {', '.join(places)}{elsewhere}."

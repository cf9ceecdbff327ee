"""Modules that are imported by name: ours, and code that is not installed, which must be allowed."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from envcli.errors import ConfigError, MissingDependency, nearest

__all__ = ["function_of", "import_module", "imported", "say_imported_elsewhere"]

log = logging.getLogger(__name__)


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
        found = import_module(module, f"{where}={name}")
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


def import_module(module: str, purpose: str) -> ModuleType:
    """The module of that name, for ``purpose``, which messages begin with.

    Raises `ConfigError` if there is no such module, and `MissingDependency` if it needs one that is not installed.
    """
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

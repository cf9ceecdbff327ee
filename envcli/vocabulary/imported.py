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

from envcli import gl
from envcli.errors import ConfigError, EnvcliError, MissingDependency, described, nearest

__all__ = ["function_of", "import_module", "imported", "missing_module", "say_imported_elsewhere"]

log = logging.getLogger(__name__)

_BRINGS = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "pkg_resources": "'setuptools<81'",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Modules of packages that are called otherwise."""


def imported(name: str, where: str, allow_imports: bool) -> ModuleType:
    """The module of ``module:anything``. Only here is code imported that is not installed, and it is logged.

    Raises `ConfigError` unless ``allow_imports`` is true, if there is no such module, with the nearest name, and if it
    cannot be imported, with what it raised.
    """
    if not allow_imports:
        raise ConfigError(f"{where}: {name!r} would import external code. If you trust it, add allow_imports=true.")
    module, _, wanted = name.partition(":")
    dotted = module.removesuffix(".py").strip("./").replace("/", ".") or "my_module"
    if module != dotted:  # usually a path
        raise ConfigError(f"{where}: found {name!r}, expected module:Name. Type: {where}={dotted}:{wanted}")
    new = module not in sys.modules
    if new:
        gl.prepare_unknown()
    with _working_directory_first():
        try:
            found = import_module(module, f"{where}={name}")
        except EnvcliError:
            raise
        except Exception as error:  # whatever its author wrote, for whatever versions of other libraries
            said = f"{where}={name}: importing {module} raised {described(error)}"
            raise ConfigError(f"{said}. Set HYDRA_FULL_ERROR=1 to see where") from error
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
        raise missing_module(error, purpose) from error


def missing_module(error: ModuleNotFoundError, purpose: str) -> ConfigError:
    """What to say where a module that is there needs another one: a package to install, or that its version differs."""
    library = str(error.name).partition(".")[0]
    if error.name != library and getattr(sys.modules.get(library), "__file__", None):  # more than a shared first name
        has = f"{library} {getattr(sys.modules[library], '__version__', '')}".strip()
        return ConfigError(f"{purpose} needs {error.name}, which {has} lacks. It is written for another version of it")
    return MissingDependency(_BRINGS.get(library, library), purpose)


def _beside(module: str) -> str:
    """The module that was probably meant, and where it was looked for."""
    above = module.rpartition(".")[0]
    places = sys.modules[above].__path__ if above in sys.modules else [str(Path.cwd())]
    known = [f"{above}.{found.name}".lstrip(".") for found in pkgutil.iter_modules(places)]
    elsewhere = "" if above else ", in PYTHONPATH and among the installed packages"
    close = f"{nearest(module, known)} " if known else ""
    return f"{close}Looked for in {', '.join(places)}{elsewhere}."

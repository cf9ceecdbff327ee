"""PettingZoo's tasks: which there are, and how one is made. No family is imported before one of its tasks is made."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from envcli import gl
from envcli.errors import ConfigError, EnvcliError, EnvError, MissingDependency, UnknownName, described

__all__ = ["make", "names"]

_FAMILIES = {  # -> the packages that may hold it, the one to be preferred first
    "atari": ["pettingzoo.atari"],
    "butterfly": ["pettingzoo.butterfly"],
    "classic": ["pettingzoo.classic"],
    "mpe": ["mpe2", "pettingzoo.mpe"],
    "sisl": ["pettingzoo.sisl"],
}
_TASK = re.compile(r"\w+_v\d+")


def names() -> list[str]:
    """Every task, ``family/name_vN``, sorted, whether or not all that it needs is installed.

    Raises MissingDependency if PettingZoo is not.
    """
    return sorted(_modules())


def make(task: str, parallel: bool, options: dict[str, Any], *, from_pixels: bool = False) -> Any:
    """The env of a task: a ``pettingzoo.ParallelEnv``, or with ``parallel=False`` a ``pettingzoo.AECEnv``.

    Args:
        task: ``"sisl/pursuit_v5"`` or ``"pursuit_v5"``; PettingZoo's ids (``"sisl/pursuit-v5"``) do too.
        parallel: which of the two.
        options: for the task's own constructor.
        from_pixels: frames will be asked for.

    Raises:
        UnknownName: there is no such task; says the nearest.
        MissingDependency: PettingZoo, or the package that holds the task, is not installed.
        ConfigError: the task has no parallel version, does not take an option, or needs another library.
    """
    known = _modules()
    name = _found(task, known)
    if from_pixels:
        options = {"render_mode": "rgb_array", **options}
    gl.prepare_sdl()
    with _explained(name, options):
        maker = getattr(_imported(known[name]), "parallel_env" if parallel else "env", None)
        if maker is None:
            raise ConfigError(
                f"parallel: {name} has no version in which all agents act at once. "
                "Let them take turns, and show whose turn it is: parallel=false and use_mask=true"
            )
        return maker(**{**_games(name), **options})


def _games(name: str) -> dict[str, str]:
    """Where the games of Atari's tasks are: PettingZoo brings none, but ale-py does, if it is installed."""
    found = importlib.util.find_spec("ale_py") if name.startswith("atari/") else None
    places = found.submodule_search_locations if found is not None else None
    return {"auto_rom_install_path": next(iter(places))} if places else {}


def _modules() -> dict[str, str]:
    """Task -> its module. What is installed is read from the folders alone."""
    if importlib.util.find_spec("pettingzoo") is None:
        raise MissingDependency("pettingzoo", "backend=pettingzoo", "pettingzoo")
    found: dict[str, str] = {}
    for family, packages in _FAMILIES.items():
        for package in packages:
            for module in pkgutil.iter_modules([str(folder) for folder in _folders(package)]):
                if _TASK.fullmatch(module.name):
                    found.setdefault(f"{family}/{module.name}", f"{package}.{module.name}")
    return found


def _folders(package: str) -> Iterator[Path]:
    top, *below = package.split(".")
    spec = importlib.util.find_spec(top)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield Path(place, *below)


def _found(task: str, known: dict[str, str]) -> str:
    family, _, name = task.rpartition("/")
    name = re.sub(r"-v(?=\d+$)", "_v", name)
    fits = [full for full in known if full.rpartition("/")[2] == name and family in ("", full.partition("/")[0])]
    if fits:
        return fits[0]
    if importlib.util.find_spec("mpe2") is None and (family == "mpe" or name.startswith("simple_")):
        raise MissingDependency("mpe2", task, "pettingzoo")
    cure = "Of an env of another package, type: backend=custom backend.name=my_envs:make, a function that returns "
    raise UnknownName("task of PettingZoo", task, known, f"{cure}envcli.PettingZooWrapper(env)" if ":" in task else "")


def _imported(module: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of this way in; releases before 1.26 have no other
        return importlib.import_module(module)


@contextmanager
def _explained(name: str, options: dict[str, Any]) -> Iterator[None]:
    """Say in one line what a task raises when it is made."""
    try:
        yield
    except EnvcliError:
        raise
    except ImportError as error:
        family = name.partition("/")[0]
        cure = "mpe2" if family == "mpe" else f"'pettingzoo[{family}]'"
        raise ConfigError(f"{name} needs a library that is not installed: {error}. Type: pip install {cure}") from error
    except TypeError as error:
        if not options:
            raise EnvError(f"{name} cannot be made: {error}") from error
        raise ConfigError(f"{name} does not take these options: {', '.join(options)} ({error})") from error
    except Exception as error:  # whatever a constructor raises
        kind = ConfigError if options else EnvError
        raise kind(f"{name} cannot be made: {described(error)}") from error

"""What installed packages add to envcli, by entry points: members of a family, and folders with YAML files.

The group ``envcli.<family>`` names classes; ``envcli.conf`` names a package, or a folder in one, that holds files like
those of our ``conf/``. A package is imported only when something of it is used.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from envcli.errors import ConfigError, described

__all__ = ["Extension", "extensions", "folders"]

_CONF = "envcli.conf"


@dataclass(frozen=True)
class Extension:
    """One entry point.

    Attributes:
        package: the distribution that it belongs to, and its version.
        group: such as ``envcli.transforms``.
        name: its name.
        value: what it points to, ``module:Class`` or ``package.folder``.
    """

    package: str
    group: str
    name: str
    value: str

    def load(self) -> type[Any]:  # Any: a class of its family
        """The class.

        Raises:
            ConfigError: it cannot be loaded; names the package, and says what happened.
        """
        try:
            found = metadata.EntryPoint(self.name, self.value, self.group).load()
        except (Exception, SystemExit) as error:  # importing their module may raise anything
            raise ConfigError(f"{self}: {described(error)}. Fix or uninstall that package") from error
        if not isinstance(found, type):
            raise ConfigError(f"{self}: is not a class. Fix or uninstall that package")
        return found

    def folder(self) -> Path:
        """The folder. Imports nothing.

        Raises:
            ConfigError: there is none; names the package.
        """
        package, *below = self.value.split(".")
        spec = importlib.util.find_spec(package)
        places = [Path(place).joinpath(*below) for place in (spec and spec.submodule_search_locations) or ()]
        for place in places:
            if place.is_dir():
                return place
        raise ConfigError(f"{self}: is not a folder. Fix or uninstall that package")

    def problem(self) -> str:
        """Why it cannot be used; empty if it can. Imports it."""
        try:
            self.folder() if self.group == _CONF else self.load()
        except ConfigError as error:
            return str(error)
        return ""

    def __str__(self) -> str:
        return f"{self.value} ({self.name} in {self.group}, of {self.package})"


def extensions(group: str | None = None) -> list[Extension]:
    """The entry points of a group, or all, sorted by name."""
    return [found for found in _installed(tuple(sys.path)) if group in (None, found.group)]


def folders() -> list[Path]:
    """The folders with YAML files; a missing one is left out, and `envcli doctor` names it."""
    return list(_folders(tuple(sys.path)))


@cache  # looking through everything that is installed takes 8 ms, and help asks for each group
def _installed(path: tuple[str, ...]) -> tuple[Extension, ...]:
    groups = metadata.entry_points()
    entries = [entry for group in groups.groups if group.startswith("envcli.") for entry in groups.select(group=group)]
    found = (Extension(_package(entry), entry.group, entry.name, entry.value) for entry in entries)
    return tuple(sorted(found, key=lambda extension: (extension.group, extension.name, extension.package)))


def _package(entry: metadata.EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "a package without a name"


@cache
def _folders(path: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(_existing(extensions(_CONF)))


def _existing(found: list[Extension]) -> Iterator[Path]:
    for extension in found:
        try:
            yield extension.folder()
        except ConfigError:
            continue

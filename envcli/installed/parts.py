"""Which of the libraries that envcli may use are installed here, by the metadata of its package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["Part", "parts"]

_OURS = {"dev", "peers", "all"}  # for developers of envcli, and the sum of the others


@dataclass(frozen=True)
class Part:
    """One extra of envcli; the part without a name is what everything needs.

    Attributes:
        name: of the extra.
        found: library -> version, for those that are installed in a version that is allowed.
        lacking: one line for each that is missing, or installed in another version.
    """

    name: str
    found: dict[str, str] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)

    @property
    def cure(self) -> str:
        """What to type if something is lacking."""
        package = f"'envcli[{self.name}]'" if self.name else "envcli"
        return f"pip install {package}" if self.lacking else ""


def parts(package: str = "envcli") -> list[Part]:
    """The parts of ``package``, what everything needs first. None if it is not installed but runs from a folder."""
    try:
        about = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return []
    names = ["", *sorted(set(about.get_all("Provides-Extra") or []) - _OURS)]
    found = [Part(name) for name in names]
    for part in found:
        for requirement in _required(package, part.name):
            _look_up(requirement, part)
    return [part for part in found if part.found or part.lacking]


def _required(package: str, extra: str) -> Iterator[Requirement]:
    """The requirements of ``package`` on this platform that ``extra`` adds."""
    from packaging.requirements import Requirement

    for text in metadata.requires(package) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always == (not extra) and (always or (marker is not None and marker.evaluate({"extra": extra}))):
            yield requirement


def _look_up(requirement: Requirement, part: Part) -> None:
    name, needed = requirement.name, str(requirement.specifier)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        part.lacking.append(f"{name} is not installed")
        return
    if not requirement.specifier.contains(version, prereleases=True):
        part.lacking.append(f"{name} is {version}, {needed} is needed")
        return
    part.found[name] = version
    for extra in requirement.extras:
        for inner in _required(name, extra):
            _look_up(inner, part)

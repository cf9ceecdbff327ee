"""Show what is installed, what can render, and how to fix the rest.

Lists each part of envcli, everything that other packages add to it, and each OpenGL backend that MuJoCo can render
with. Whatever is missing comes with the command that installs it.

  envcli doctor
  envcli doctor json=true
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import envcli
from envcli import gl
from envcli.installed import extensions
from envcli.installed.extensions import Extension
from envcli.installed.parts import Part, parts
from envcli.terminal.answer import answer
from envcli.terminal.table import empty_table
from envcli.vocabulary.schema import Answer

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Config", "run"]


@dataclass
class Config(Answer):
    """What ``envcli doctor`` reads."""


def run(cfg: Config) -> None:
    """Print tables: the parts of envcli, what other packages add to it, and the OpenGL backends of MuJoCo."""
    found, ways, added = parts(), gl.survey(), [(it, it.problem()) for it in extensions.extensions()]
    data = {
        "envcli": envcli.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "parts": [{**asdict(part), "cure": part.cure} for part in found],
        "packages": [{**asdict(it), "problem": problem} for it, problem in added],
        "gl": [{**asdict(way), "cure": _cure(way)} for way in ways],
        "MUJOCO_GL": os.environ.get("MUJOCO_GL"),
    }
    answer(data, lambda: _drawing(data, found, ways, added), cfg.json)


def _cure(way: gl.GL) -> str:
    if way.reason == "mujoco is not installed":
        return "pip install 'envcli[mujoco]'"
    packages = gl.PACKAGES[way.name]
    return f"apt-get install --no-install-recommends {packages}" if packages and not way.works else ""


def _drawing(
    data: dict[str, Any], found: list[Part], ways: list[gl.GL], added: list[tuple[Extension, str]]
) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    libraries = empty_table("", "part", "found", "to install, type", title="Libraries")
    libraries.columns[-1].no_wrap = True  # a command that is broken cannot be copied
    for part in found:
        there = ", ".join(f"{name} {version}" for name, version in part.found.items())
        said = "; ".join([*part.lacking, there] if there else part.lacking)
        libraries.add_row(_mark(not part.lacking), Text(part.name or "core"), Text(said), Text(part.cure))
    drawing = empty_table("", "MUJOCO_GL", "found", "to install, type", title="MuJoCo rendering")
    usable = any(way.works for way in ways)
    for way in ways:
        cure = "" if usable else _cure(way)  # one of them is enough
        drawing.add_row(_mark(way.works), Text(way.name), Text(way.reason or "renders"), Text(cure))
    chosen = data["MUJOCO_GL"]
    told = (
        f"MUJOCO_GL={chosen} is set, and takes precedence"
        if chosen is not None
        else "MUJOCO_GL is not set: the first that works is used"
    )
    head = Text(f"envcli {data['envcli']}, Python {data['python']}, {data['platform']}")
    return Group(head, "", libraries, *_packages(added), "", drawing, Text(told))


def _packages(added: list[tuple[Extension, str]]) -> Iterator[RenderableType]:
    """What installed packages add, if any do."""
    from rich.text import Text

    drawn = empty_table("", "package", "adds", "problem", title="Packages")
    for it, problem in added:
        drawn.add_row(_mark(not problem, "broken"), *map(Text, (it.package, f"{it.group} {it.name}", problem)))
    if added:
        yield from ("", drawn)


def _mark(works: bool, otherwise: str = "missing") -> Any:  # Any: rich is imported late
    from rich.text import Text

    return Text("ok", "green") if works else Text(otherwise, "yellow")

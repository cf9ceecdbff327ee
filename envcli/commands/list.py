"""List every env of every installed backend.

Shows each env's preset, if it has one. Run an env with env=PRESET, or by backend and name: backend=gymnasium
backend.name=MountainCar-v0

  envcli list pend
  envcli list json=true
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envcli.errors import ConfigError, MissingDependency, UnknownName
from envcli.terminal.answer import answer
from envcli.vocabulary import catalog, registry
from envcli.vocabulary.schema import Answer, key

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["POSITIONAL", "Config", "run"]

POSITIONAL = "query"


@dataclass
class Config(Answer):
    """What ``envcli list`` reads."""

    query: str = key("", "list only names and presets that contain this, in any case; 'query=' may be left out")


def run(cfg: Config) -> None:
    """Print the table; what is not installed is said on stderr."""
    rows, absent = [], []
    presets = catalog.presets()
    for backend in registry.members("backends"):
        try:
            names = registry.find("backends", backend).available_names()
        except MissingDependency:
            absent.append(_choice(backend))
            continue
        except ConfigError as broken:  # a package of somebody else's
            print(f"left out: {broken}", file=sys.stderr)
            continue
        choice = _choice(backend)
        names = {*names, *(name for place, name in presets if place == choice)}  # the only names that custom has
        rows += [{"backend": choice, "name": name, "preset": presets.get((choice, name))} for name in sorted(names)]
    if absent:
        print(f"left out: not installed: {', '.join(absent)}. What to type is in: envcli doctor", file=sys.stderr)
    query = cfg.query.lower()
    found = [row for row in rows if query in row["name"].lower() or query in (row["preset"] or "")]
    if not found:
        raise UnknownName("env that contains", cfg.query, [row["name"] for row in rows])
    answer(found, lambda: _table(found), cfg.json)


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(
        "backend",
        "name",
        "preset",
        caption=f"{len(rows)} env{'s' * (len(rows) != 1)}; run one with env=PRESET, or backend=... backend.name=NAME",
    )
    for row in rows:
        table.add_row(f"backend={row['backend']}", row["name"], f"env={row['preset']}" if row["preset"] else "")
    return table


def _choice(backend: str) -> str:
    """The choice in ``conf/backend/`` for a type of the registry: gymnasium for gym."""
    for path in catalog.files("backend"):
        if re.search(rf"^type: {re.escape(backend)}$", path.read_text(encoding="utf-8"), re.MULTILINE):
            return path.stem
    return backend

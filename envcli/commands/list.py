"""List every env of every installed backend.

Shows each env's preset, if it has one, and the presets of backends that are not installed. Run an env with env=PRESET,
or by backend and name: backend=gymnasium backend.name=MountainCar-v0

  envcli list pend
  envcli list json=true
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envcli.errors import ConfigError, MissingDependency, UnknownName
from envcli.terminal.answer import answer
from envcli.terminal.table import empty_table
from envcli.vocabulary import catalog, registry
from envcli.vocabulary.catalog import choice_of
from envcli.vocabulary.schema import Answer, key

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["POSITIONAL", "Config", "run"]

POSITIONAL = "query"

_INSTALL = "pip install"  # above what follows it, so that the table fits into 80 columns


@dataclass
class Config(Answer):
    """What ``envcli list`` reads."""

    query: str = key("", "list only what contains this in its name, preset or backend; 'query=' may be left out")


def run(cfg: Config) -> None:
    """Print the table; the backends that are not installed are said on stderr."""
    rows, absent = [], []
    presets = catalog.presets()
    for kind in registry.members("backends"):
        choice = choice_of("backend", kind)
        own = [name for place, name in presets if place == choice]  # the only names that custom has
        try:
            backend = registry.find("backends", kind)
            needed = {name: backend.needed_for(name) for name in {*backend.available_names(), *own}}
            facts = {name: backend.facts(name) for name in needed}
        except MissingDependency as missing:
            absent.append(choice)
            needed, facts = dict.fromkeys(own, missing.command), {}
        except ConfigError as broken:  # a package of somebody else's
            print(f"left out: {broken}", file=sys.stderr)
            continue
        for name in sorted(needed):
            row = {"backend": choice, "name": name, "preset": presets.get((choice, name))}
            rows.append({**row, "facts": facts.get(name) or None, "to_install": needed[name] or None})
    if absent:
        said = f"left out: not installed: {', '.join(absent)}, but for their presets"
        print(f"{said}. What to type is in: envcli doctor", file=sys.stderr)
    query = cfg.query.lower()
    found = [row for row in rows if any(query in (row[key] or "").lower() for key in ("name", "preset", "backend"))]
    if not found:
        raise UnknownName("env that contains", cfg.query, [row["name"] for row in rows])
    answer(found, lambda: _table(found), cfg.json)


def _table(rows: list[dict[str, Any]]) -> RenderableType:
    from rich.console import Group

    absent = sum(row["to_install"] is not None for row in rows)
    known = any(row["facts"] for row in rows)
    drawn = empty_table("backend", "name", "preset", *(["what"] if known else []), *([_INSTALL] if absent else []))
    for row in rows:
        preset = f"env={row['preset']}" if row["preset"] else ""
        packages = (row["to_install"] or "").removeprefix(f"{_INSTALL} ")
        more = [*([row["facts"] or ""] if known else []), *([packages] if absent else [])]
        drawn.add_row(f"backend={row['backend']}", row["name"], preset, *more)
    some = f", {absent} of them need" + "s" * (absent == 1) + " a library that is not installed" if absent else ""
    many = f"{len(rows)} env{'s' * (len(rows) != 1)}{some}"
    return Group(drawn, f"{many}; run one with env=PRESET, or backend=... backend.name=NAME")

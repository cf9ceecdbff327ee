"""Write a report on a sweep, or on any runs.

Prints a table of all runs in and below a folder, and writes report.html (a single file that works offline), sweep.csv
and sweep.json into it. A multirun writes its own report when it ends, even if jobs failed. The runs themselves are not
changed.

  envcli report outputs/rollout/multirun/2025-01-31_12-00-00-000000
  envcli report outputs/rollout/CartPole-v1/2025-01-31_12-00-00-000000
  envcli report outputs
  envcli report outputs json=true
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from envcli.errors import ConfigError, MissingRun, nearest

__all__ = ["main", "words"]


def words(current: str) -> list[str]:
    """The words that completion offers: folders that begin with ``current``, and the one key."""
    above = Path(current[: current.rfind("/") + 1])
    return ["json=true", *(f"{path}/" for path in above.glob("*") if path.is_dir())]


def main(typed: Sequence[str]) -> int:
    """Report on the folder that was ``typed``."""
    folder, as_json = _parsed(typed)
    if not folder.is_dir():
        raise ConfigError(f"report: no folder {folder}. {_latest()}".rstrip())
    from envcli.reports import report, table
    from envcli.reports.job import UNBEGUN
    from envcli.reports.sweep import Sweep
    from envcli.terminal.answer import answer, relative_path

    sweep = Sweep.of(folder.absolute())
    if not sweep.jobs:
        raise MissingRun(f"report: {folder} holds no runs: no status.json in it or below. {_latest()}".rstrip())
    page = report.write(sweep)
    unbegun = sweep.with_unbegun.states[UNBEGUN]
    answer(sweep.data(), lambda: table.drawn(sweep, unbegun), as_json)
    if not as_json:
        print(f"report in {relative_path(page)}")
        if way_on := sweep.way_on:
            print(f"go on by  {way_on}")
    return 0


def _parsed(typed: Sequence[str]) -> tuple[Path, bool]:
    folders, as_json = [], False
    for word in typed:
        key, equals, value = word.partition("=")
        if word.startswith("-"):
            raise ConfigError(f"report: no flag {word!r}. See envcli report --help.")
        if not equals or Path(word).exists():
            folders.append(word)
        elif key != "json":
            raise ConfigError(f"no key {key!r} in report. {nearest(key, ['json'])}")
        elif value not in ("true", "false"):
            raise ConfigError(f"json: found {value!r}, expected true or false.")
        else:
            as_json = value == "true"
    if len(folders) != 1:
        found = f"{len(folders)} folders" if folders else "no folder"
        raise ConfigError(f"report: found {found}, expected one. {_latest()}".rstrip())
    return Path(folders[0]), as_json


def _latest() -> str:
    """A suggestion: the last sweep below ``outputs``, or all runs there."""
    sweeps = sorted(Path("outputs").glob("*/multirun/*/"), key=lambda path: path.name)
    if sweeps:
        return f"The last sweep: envcli report {sweeps[-1]}"
    return "All runs: envcli report outputs" if Path("outputs").is_dir() else ""

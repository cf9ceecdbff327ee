"""Measure several workloads, each by its own command, and whether they keep their promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from envcli.bench import machine, suite
from envcli.commands.bench.config import SHARED, Config
from envcli.errors import ConfigError, EnvcliError
from envcli.folders.json_file import write_json
from envcli.folders.run_folder import RunFolder
from envcli.override import parsed
from envcli.terminal.answer import answer, say_kept_in
from envcli.terminal.status_line import status_line
from envcli.vocabulary.schema import doors

__all__ = ["measure_suite"]


def measure_suite(cfg: Config, folder: RunFolder) -> None:
    """Measure, write, report.

    Raises:
        ConfigError: a key was typed that the suite itself sets.
        EnvcliError: ``strict``, and a promise was missed, or not measured because the command of its workload failed.
    """
    _require_shared(folder.overrides)
    about, rows = machine.describe(), _measured(cfg, folder)
    result = {"machine": about, "rows": [{**asdict(row), "kept": row.kept} for row in rows]}
    write_json(folder.path / "bench.json", result)
    missed = [_promise(row) for row in rows if row.kept is False]
    failed = [_promise(row) for row in rows if row.failed]
    folder.write_metrics({"kept": sum(row.kept is True for row in rows), "missed": missed, "failed": failed})
    found = {"missed": missed, "not measured": failed}
    bad = "; ".join(f"{len(of)} of {len(rows)} promises {what}: {', '.join(of)}" for what, of in found.items() if of)
    below = machine.caption(about, [bad] if failed else [])
    answer(result, lambda: suite.table(rows, below), cfg.json)
    say_kept_in(folder.path, cfg.json)
    if cfg.strict and bad:
        raise EnvcliError(bad)


def _require_shared(words: Sequence[str]) -> None:
    known = {"suite", "strict", "json", *SHARED}
    for override in parsed(words):
        if override.head not in known and not override.is_about_hydra:
            raise ConfigError(
                f"a suite defines what is measured, so it takes no {str(override)!r}. Leave one of them out."
            )


def _measured(cfg: Config, folder: RunFolder) -> list[suite.Row]:
    settings = [f"{name}={getattr(cfg, name)}" for name in SHARED]
    rows: list[suite.Row] = []
    with status_line() as say:
        for entry in suite.entries(cfg.suite, [door.name for door in doors(Config)]):
            say(f"measuring {entry.name}")
            rows += suite.measured(entry, settings, folder.path)
    return rows


def _promise(row: suite.Row) -> str:
    return f"{row.workload} against {row.peer}"

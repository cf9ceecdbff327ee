"""The JSON answers of the jobs of a multirun whose command keeps no results: one array, whatever the launcher."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envcli.configuration import overrides
from envcli.errors import told
from envcli.folders.json_file import read_json, write_json
from envcli.reports.setting import settings
from envcli.terminal.answer import kept

__all__ = ["gathered", "of_job"]

_NAME = "answer_{}.json"  # in the folder of the multirun, which is removed at its end


@contextlib.contextmanager
def of_job(hydra: Any, seed: int | None) -> Iterator[None]:  # Any: Hydra's own configuration, with attributes
    """Write what the job inside answers, and how it ended, to a file for the process that launched it."""
    answers: list[Any] = []  # Any: what JSON can hold
    found: dict[str, Any] = {"job": hydra.job.num, "state": "failed", "error": None, "seed": seed}
    found["overrides"] = settings(overrides.as_typed(hydra.overrides.task))
    try:
        with kept(answers):
            yield
        found["state"] = "finished"
    except BaseException as error:
        found["error"] = told(error) or type(error).__name__
        raise
    finally:
        found["answer"] = answers[0] if answers else None
        write_json(Path(hydra.sweep.dir, _NAME.format(hydra.job.num)), found)


def gathered(folder: Path) -> list[dict[str, Any]]:
    """The answers of the multirun in ``folder``, in the order of its jobs."""
    found = [read_json(path) for path in folder.glob(_NAME.format("*"))]
    return sorted(found, key=lambda answer: int(answer["job"]))

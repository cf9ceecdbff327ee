"""All jobs of a multirun, as ``jobs.json`` in its folder has them: also those that never began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envcli.errors import StoreError
from envcli.folders.json_file import read_json, write_json

__all__ = ["SweepPlan"]

_NAME = "jobs.json"


@dataclass(frozen=True)
class SweepPlan:
    """What a multirun is made of.

    Attributes:
        command: the subcommand of each job.
        complete: whether there are no other jobs. Some sweepers choose jobs by the results of earlier ones.
        jobs: the overrides of each, as they are typed; the place in the list is the job's number.
    """

    command: str
    complete: bool
    jobs: Sequence[Sequence[str]]

    def write(self, folder: Path) -> None:
        """Keep it in ``folder``, which is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _NAME, vars(self))

    @classmethod
    def read(cls, folder: Path) -> SweepPlan | None:
        """The plan of the multirun in ``folder``; None if it holds none.

        Raises:
            StoreError: the file cannot be read, or is none of ours.
        """
        match read_json(folder / _NAME):
            case {"command": str(command), "complete": bool(complete), "jobs": list(jobs)} if all(map(_is_job, jobs)):
                return cls(command, complete, jobs)
            case {} as found if not found:
                return None
        raise StoreError(f"{folder / _NAME}: holds no plan of a sweep.")


def _is_job(words: object) -> bool:
    return isinstance(words, list) and all(isinstance(word, str) for word in words)

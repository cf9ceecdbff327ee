"""The table at the end of a multirun: a row a job, read from the run folders, so that any launcher will do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from envcli.answer import answer, number
from envcli.bench import plot
from envcli.errors import EnvcliError
from envcli.run_folder import near, read_json

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from rich.table import Table

__all__ = ["SweepWatcher", "watched"]

_COLUMNS = {
    "steps": "steps",
    "episodes": "episodes",
    "return_mean": "return",
    "length_mean": "length",
    "steps_per_second": "steps/s",
}

_seen: list[Path] = []  # the folders of multiruns started in this process; Hydra hands them to nobody but a callback


class SweepWatcher(Callback):
    """Notes where a multirun writes. Hydra's own ``on_multirun_end`` is not called when a job failed."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # Any: Hydra's signature
        _seen.append(Path(config.hydra.sweep.dir).absolute())


@contextmanager
def watched(as_json: bool) -> Iterator[None]:
    """Show the table when the multirun inside has ended; name all the jobs that failed, not only the first."""
    del _seen[:]
    try:
        yield
    except Exception as error:
        if failures := _show(as_json):
            raise EnvcliError(failures) from error
        raise
    except BaseException:
        _show(as_json)
        raise
    if failures := _show(as_json):
        raise EnvcliError(failures)


def _show(as_json: bool) -> str:
    """Print what there is, and return a sentence about the jobs that failed, if any did."""
    jobs = [job for folder in _seen for job in _jobs(folder)]
    if jobs:
        answer(jobs, lambda: _table(jobs), as_json)
        if not as_json:
            print(f"kept in {near(_seen[-1])}")
        _draw(jobs, _seen[-1])
    failed = [job for job in jobs if job["state"] == "failed"]
    return _explain(failed, len(jobs)) if failed else ""


def _draw(jobs: list[dict[str, Any]], folder: Path) -> None:
    """A picture beside the jobs, if they were measurements that make a curve."""
    if curve := plot.points(jobs):
        title = f"{jobs[0]['metrics'].get('name', '')}: steps per second"
        (folder / "bench.svg").write_text(plot.drawn(title, *curve), encoding="utf-8")


def _jobs(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("*/status.json"), key=lambda path: _number(path.parent.name)):
        status = read_json(path)
        job = {
            "job": _number(path.parent.name),
            "folder": str(path.parent),
            "state": status.get("state"),
            "error": status.get("error"),
        }
        pairs = (word.lstrip("+").partition("=") for word in status.get("overrides", []))
        job["overrides"] = {key: value for key, _, value in pairs}
        found.append({**job, "metrics": read_json(path.with_name("metrics.json"))})
    return found


def _table(jobs: list[dict[str, Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    swept = [k for k in _keys(jobs) if len({job["overrides"].get(k) for job in jobs}) > 1]
    columns = {k: title for k, title in _COLUMNS.items() if any(k in job["metrics"] for job in jobs)}
    table = Table("job", *swept, "state")
    for title in columns.values():
        table.add_column(title, justify="right")
    for job in jobs:
        values = [number(job["metrics"].get(k)) for k in columns]
        table.add_row(str(job["job"]), *(Text(job["overrides"].get(k, "")) for k in swept), job["state"], *values)
    return table


def _keys(jobs: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for job in jobs for key in job["overrides"]))


def _explain(failed: list[dict[str, Any]], count: int) -> str:
    lines = [f"Job {job['job']}: {job['error']}" for job in failed[:3]]
    more = f" And {len(failed) - 3} more." if len(failed) > 3 else ""
    return f"{len(failed)} of {count} jobs failed. {' '.join(lines)}{more}"


def _number(name: str) -> int:
    match = re.match(r"\d+", name)
    return int(match[0]) if match else -1

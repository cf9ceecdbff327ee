"""What a multirun says: a line a job as they end, a table and a report when all have, however they ended.

Read from the run folders, so that any launcher will do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from envcli.bench import plot
from envcli.cli import jobs
from envcli.errors import EnvcliError, StoreError
from envcli.reports import report, table
from envcli.reports.columns import present
from envcli.reports.job import Job
from envcli.reports.sweep import Sweep
from envcli.terminal.answer import answer, near, number

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

__all__ = ["SweepWatcher", "launched_here", "watched"]

_seen: list[Path] = []  # the folders of multiruns started in this process; Hydra hands them to nobody but a callback


class SweepWatcher(Callback):
    """Notes where a multirun writes. Hydra's own ``on_multirun_end`` is not called when a job failed."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # Any: Hydra's signature
        _seen.append(Path(config.hydra.sweep.dir).absolute())

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # Any: Hydra's signature
        """Say how the job went, where it ran in the process that launched it."""
        folder = Path(config.hydra.runtime.output_dir)
        if launched_here() and str(config.hydra.mode).endswith("MULTIRUN") and (folder / "status.json").is_file():
            _say(Job.read(folder))


def launched_here() -> bool:
    """Was it this process that began the multirun? Else it is one in which a launcher runs jobs."""
    return bool(_seen)


@contextmanager
def watched(as_json: bool) -> Iterator[None]:
    """Show the table when the multirun inside has ended; name all the jobs that failed, not only the first."""
    del _seen[:]
    try:
        with jobs.interruptible(_seen), jobs.told(_seen, _say):
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
    """Print and write what there is, and return a sentence about the jobs that failed, if any did."""
    failures = ""
    for sweep in map(Sweep.of, _seen):
        if not sweep.jobs:
            continue
        answer([job.data() for job in sweep.jobs], lambda sweep=sweep: table.drawn(sweep), as_json)  # type: ignore[misc]
        _keep(sweep, as_json)
        failures = _explain(sweep) or failures
    return failures


def _keep(sweep: Sweep, as_json: bool) -> None:
    """Write the report, and a curve beside it if the jobs were measurements that make one."""
    try:
        page = report.write(sweep)
        if curve := plot.points([job.data() for job in sweep.jobs]):
            title = f"{sweep.jobs[0].name}: steps per second"
            (sweep.folder / "bench.svg").write_text(plot.drawn(title, *curve), encoding="utf-8")
    except (OSError, StoreError) as error:  # the runs are whole, and a full disk no reason to hide how they went
        print(f"no report: {error}", file=sys.stderr)
        return
    if not as_json:
        print(f"kept in {near(sweep.folder)}\nreport  {near(page)}")


def _say(job: Job) -> None:
    if sys.stderr.isatty():  # into a file it would be noise
        print(f"\t{_line(job)}", file=sys.stderr)


def _line(job: Job) -> str:
    """``#3 finished: return 17.3, length 17.3, 21,122 steps/s``, or what went wrong."""
    numbers = [f"{title} {number(job.metric(key))}" for key, title in present([job]).items() if key != "steps"]
    said = job.error if job.error else ", ".join(numbers)
    return f"#{job.number} {job.state}{': ' if said else ''}{said or ''}"


def _explain(sweep: Sweep) -> str:
    failed = [job for job in sweep.jobs if job.state == "failed"]
    if not failed:
        return ""
    lines = [f"Job {job.number}: {job.error}" for job in failed[:3]]
    lines += [f"And {len(failed) - 3} more."] if len(failed) > 3 else []
    return f"{len(failed)} of {len(sweep.jobs)} jobs failed. {' | '.join(lines)}"

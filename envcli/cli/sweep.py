"""What a multirun says: a line a job as they end, a table and a report when all have, however they ended.

Read from the run folders, so that any launcher will do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from envcli.bench import plot
from envcli.cli import answers, jobs
from envcli.errors import EnvcliError, StoreError
from envcli.reports import report, table
from envcli.reports.columns import present
from envcli.reports.job import UNBEGUN, Job
from envcli.reports.sweep import Sweep
from envcli.terminal.answer import answer, number, relative_path

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

__all__ = ["SweepWatcher", "heeding", "launched_here", "noting_jobs", "watched"]

_seen: list[Path] = []  # the folders of multiruns started in this process; Hydra hands them to nobody but a callback
_planned: dict[Path, list[Sequence[str]]] = {}  # what was typed for each job of these, in order
_heeding: list[Callable[[], None]] = []  # what is to be called once it is a multirun that runs


class SweepWatcher(Callback):
    """Notes where a multirun writes. Hydra's own ``on_multirun_end`` is not called when a job failed."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # Any: Hydra's signature
        _seen.append(Path(config.hydra.sweep.dir).absolute())
        _heed()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # Any: Hydra's signature
        """Say how the job went, where it ran in the process that launched it."""
        folder = Path(config.hydra.runtime.output_dir)
        if launched_here() and str(config.hydra.mode).endswith("MULTIRUN") and (folder / "status.json").is_file():
            _say(Job.read(folder))


def launched_here() -> bool:
    """Was it this process that began the multirun? Else it is one in which a launcher runs jobs."""
    return bool(_seen)


def noting_jobs(checked: Callable[..., None]) -> Callable[..., None]:
    """``Sweeper.validate_batch_is_legal``, which hears of every job before one begins: it may die without a word."""

    def note(sweeper: Any, batch: Sequence[Sequence[str]]) -> None:  # Any: a Sweeper
        if _seen:
            _planned.setdefault(_seen[-1], []).extend(batch)
        checked(sweeper, batch)

    return note


def heeding(load: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """``ConfigLoader.load_sweep_config``, which a launcher asks before each job, when all that it needs has begun."""

    def loaded(*args: Any, **given: Any) -> DictConfig:  # Any: a loader, and what Hydra gives it
        _heed()
        return load(*args, **given)

    return loaded


def _heed() -> None:
    for heed in _heeding:
        heed()


@contextmanager
def watched(as_json: bool) -> Iterator[None]:
    """Show the table when the multirun inside has ended; name all the jobs that failed, not only the first."""
    del _seen[:]
    _planned.clear()
    try:
        with jobs.interruptible(_seen) as also_when_ended, jobs.told(_seen, _say):
            _heeding[:] = [also_when_ended]
            yield
    except Exception as error:
        if failures := _show(as_json):
            raise EnvcliError(failures) from error
        raise
    except BaseException:  # a Ctrl-C, after which nobody asks for what did not begin
        _planned.clear()
        with suppress(OSError):  # a terminal that was closed takes no table
            _show(as_json)
        raise
    finally:
        del _heeding[:]
    if failures := _show(as_json):
        raise EnvcliError(failures)


def _show(as_json: bool) -> str:
    """Print and write what there is, and return a sentence about the jobs that failed, if any did."""
    failures = ""
    for sweep in map(Sweep.of, _seen):
        if not sweep.jobs:
            if as_json and (found := answers.gathered(sweep.folder)):
                answer(found, str, as_json)
            continue
        planned = _with_unbegun(sweep)
        data = [job.data() for job in planned.jobs]
        try:
            answer(data, lambda planned=planned: table.drawn(planned), as_json)  # type: ignore[misc]
        finally:
            _keep(sweep, as_json)
        failures = _explain(planned) or failures
    return failures


def _with_unbegun(sweep: Sweep) -> Sweep:
    """``sweep`` with the jobs that it has no folder of: one whose process dies takes the others along."""
    begun = {job.number for job in sweep.jobs}
    if None in begun:  # folders of other names, which tell of no job
        return sweep
    words = enumerate(_planned.get(sweep.folder, ()))
    unbegun = [Job.unbegun(sweep.folder, number, typed) for number, typed in words if number not in begun]
    return replace(sweep, jobs=sorted([*sweep.jobs, *unbegun], key=lambda job: job.number or 0))


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
        print(f"kept in {relative_path(sweep.folder)}\nreport  {relative_path(page)}")


def _say(job: Job) -> None:
    if sys.stderr.isatty():  # into a file it would be noise
        print(f"\t{_line(job)}", file=sys.stderr)


def _line(job: Job) -> str:
    """``#3 finished: return 17.3, length 17.3, 21,122 steps/s``, or what went wrong."""
    numbers = [f"{title} {number(job.metric(key))}" for key, title in present([job]).items() if key != "steps"]
    said = job.error if job.error else ", ".join(numbers)
    return f"#{job.number} {job.state}{': ' if said else ''}{said or ''}"


def _explain(sweep: Sweep) -> str:
    failed = [job for job in sweep.failed if job.state != UNBEGUN]
    if not failed:
        return ""
    lines = [f"Job {job.number}: {job.error or _said(job)}" for job in failed[:3]]
    if len(failed) > 3:
        lines.append(f"And {len(failed) - 3} more.")
    if unbegun := sweep.states[UNBEGUN]:
        lines.append(f"{unbegun} did not begin.")
    return f"{len(failed)} of {len(sweep.jobs)} jobs failed. {' | '.join(lines)}"


def _said(job: Job) -> str:
    killed = "its process was killed (a crash of the simulator, or too little memory)"
    return killed if job.state == "killed" else job.state

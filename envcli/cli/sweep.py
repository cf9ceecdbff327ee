"""What a multirun prints: a line for each job that ends, and a table and a report when all have, however they ended.

It is read from the run folders, so it works with any launcher.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback

from envcli.bench import plot
from envcli.cli import answers, jobs, sweep_lock
from envcli.cli.interrupt import call_on
from envcli.cli.launched import launching
from envcli.configuration import launchers
from envcli.configuration.overrides import as_typed
from envcli.errors import EnvcliError, StoreError
from envcli.folders.sweep_plan import SweepPlan
from envcli.reports import report, table
from envcli.reports.columns import present
from envcli.reports.job import UNBEGUN, Job
from envcli.reports.sweep import Sweep
from envcli.terminal.answer import answer, number, relative_path

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

__all__ = ["SweepWatcher", "heeding", "launched_here", "noting_jobs", "watched"]

_seen: list[Path] = []  # the folders of multiruns started in this process; only a callback is told
_planned: list[list[str]] = []  # the overrides of each job so far, in order
_heeding: list[Callable[[], None]] = []  # called when a multirun starts


class SweepWatcher(Callback):
    """Notes where a multirun writes; Hydra does not call ``on_multirun_end`` if a job failed."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # Any: Hydra's signature
        _seen.append(Path(config.hydra.sweep.dir).absolute())
        _heed()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # Any: Hydra's signature
        """Print how the job went, if it ran in the process that launched it."""
        folder = Path(config.hydra.runtime.output_dir)
        if launched_here() and str(config.hydra.mode).endswith("MULTIRUN") and (folder / "status.json").is_file():
            _say(Job.read(folder))


def launched_here() -> bool:
    """Whether this process started the multirun; if not, a launcher runs jobs in it."""
    return bool(_seen)


def noting_jobs(checked: Callable[..., None], planned: bool) -> Callable[..., None]:
    """Wrap ``Sweeper.validate_batch_is_legal`` to keep the plan of a sweep before its first job starts.

    ``planned``: it is kept already, because the sweep goes on.
    """

    def note(sweeper: Any, batch: Sequence[Sequence[str]]) -> None:  # Any: a Sweeper
        if _seen:
            _begin(_seen[-1])
        if _seen and not planned:
            _note(_seen[-1], sweeper, batch)
        launchers.require_cluster(str(sweeper.config.hydra.launcher.get("_target_")))
        checked(sweeper, batch)

    return note


def _begin(folder: Path) -> None:
    try:
        sweep_lock.hold(folder)
    except StoreError:
        _seen.remove(folder)  # what runs there is not ours to show, nor to interrupt
        raise
    call_on(folder)  # an earlier one may have been interrupted


def _note(folder: Path, sweeper: Any, batch: Sequence[Sequence[str]]) -> None:  # Any: see above
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    complete = isinstance(sweeper, BasicSweeper)  # it knows all its jobs from the first batch on
    if complete and _planned:
        return
    _planned.extend(map(as_typed, itertools.chain(*sweeper.overrides) if complete else batch))
    SweepPlan(sweeper.config.hydra.job.config_name, complete, _planned).write(folder)


def heeding(load: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """Wrap ``ConfigLoader.load_sweep_config``, which a launcher calls before each job, when it has itself started."""

    def loaded(*args: Any, **given: Any) -> DictConfig:  # Any: a loader, and what Hydra gives it
        _heed()
        return load(*args, **given)

    return loaded


def _heed() -> None:
    for heed in _heeding:
        heed()


@contextmanager
def watched(as_json: bool) -> Iterator[None]:
    """Show the table when the multirun inside has ended, and name all jobs that failed, not only the first."""
    del _seen[:], _planned[:]
    try:
        with launching(), jobs.interruptible(_seen) as also_when_ended, jobs.told(_seen, _say):
            _heeding[:] = [also_when_ended]
            yield
    except Exception as error:
        if failures := _show(as_json):
            raise EnvcliError(failures) from error
        raise
    except BaseException:
        with suppress(OSError):  # the terminal was closed
            _show(as_json, stopped=True)
        raise
    finally:
        del _heeding[:]
    if failures := _show(as_json):
        raise EnvcliError(failures)


def _show(as_json: bool, stopped: bool = False) -> str:
    """Print the table and write the report. Returns a sentence about the jobs that failed, or an empty one.

    ``stopped``: by Ctrl-C. The jobs that had not begun may be many, so they are counted and not listed.
    """
    failures = ""
    for sweep in map(Sweep.of, _seen):
        if not sweep.jobs:
            if as_json and (found := answers.gathered(sweep.folder)):
                answer(found, str, as_json)
            continue
        planned = sweep.with_unbegun
        shown, unbegun = (sweep, planned.states[UNBEGUN]) if stopped else (planned, 0)
        data = [job.data() for job in shown.jobs]
        if as_json and unbegun:
            print(table.unbegun_line(unbegun), file=sys.stderr)
        try:
            answer(data, lambda shown=shown, unbegun=unbegun: table.drawn(shown, unbegun), as_json)  # type: ignore[misc]
        finally:
            _keep(sweep, as_json)
        failures = _explain(planned) or failures
    return failures


def _keep(sweep: Sweep, as_json: bool) -> None:
    """Write the report, and a curve beside it if the jobs were measurements over a number."""
    page = None
    try:
        page = report.write(sweep)
        if curve := plot.points([job.data() for job in sweep.jobs]):
            title = f"{sweep.jobs[0].name}: steps per second"
            (sweep.folder / "bench.svg").write_text(plot.drawn(title, *curve), encoding="utf-8")
    except (OSError, StoreError) as error:  # the runs are complete, so a full disk must not hide their results
        print(f"no {'report' if page is None else 'curve'}: {error}", file=sys.stderr)
    if not as_json:
        print(f"kept in {relative_path(sweep.folder)}")
        if page is not None:
            print(f"report  {relative_path(page)}")
        if way_on := sweep.way_on:
            print(f"go on   {way_on}")


def _say(job: Job) -> None:
    if sys.stderr.isatty():  # in a file it would be noise
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

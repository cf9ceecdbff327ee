"""A multirun that was stopped, and goes on in its folder: ``envcli rollout -m resume=FOLDER``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from envcli.cli import sweep_lock
from envcli.configuration import overrides
from envcli.configuration.conflicts import PASSED_ON, refuse_beside
from envcli.errors import ConfigError
from envcli.folders.saved_config import saved_config
from envcli.folders.sweep_plan import SweepPlan
from envcli.override import parsed
from envcli.reports.job import Job
from envcli.reports.sweep import Sweep
from envcli.typed_word import quoted

__all__ = ["ResumedSweep"]


class ResumedSweep:
    """The jobs that a sweep lacks.

    Those that finished stay. Those with ``total_steps`` that were cut short go on; any other begins anew, in the place
    of what is left of it.

    Args:
        folder: of the multirun.
        command: the subcommand.
        beside: the other words that were typed.
        config_dirs: folders with the user's own choices.

    Attributes:
        words: what Hydra is to be given.

    Raises:
        ConfigError: nothing is left to do; a job is at work; it is another command's; or ``beside`` would change what
            was planned.
        StoreError: the sweep is at work.
    """

    def __init__(self, folder: Path, command: str, beside: Sequence[str], config_dirs: Sequence[Path]) -> None:
        self._folder, self._command, self._config_dirs = folder, command, config_dirs
        plan = self._plan()
        sweep_lock.hold(folder)
        typed = parsed(beside)
        refuse_beside("resume", typed, lambda one: one.is_about_hydra and not one.key.startswith("hydra.sweep."))
        to_all = [str(one) for one in typed if one.key in PASSED_ON]
        self._unfinished: list[Path] = []
        self._jobs = [[*words, *to_all] for words in self._left(plan)]
        if not self._jobs:
            raise ConfigError(f"resume: all {len(plan.jobs)} jobs of {folder} are finished. See envcli report {folder}")
        self.words = [*map(str, typed), f"hydra.sweep.dir={quoted(str(folder))}"]

    @classmethod
    def asked(cls, command: str, words: Sequence[str], config_dirs: Sequence[Path]) -> ResumedSweep | None:
        """The sweep that ``words`` ask to go on with; None if they name a single run, or no folder."""
        folder = overrides.resumed(words)
        if folder is None or not Path(folder).is_dir() or Path(folder, "status.json").is_file():
            return None
        return cls(Path(folder), command, [str(one) for one in parsed(words) if one.key != "resume"], config_dirs)

    @contextmanager
    def launched(self) -> Iterator[None]:
        """Inside, these are the jobs that Hydra's basic sweeper launches, whatever else it is told."""
        from hydra.core.plugins import Plugins

        Plugins.instance()  # it loads the module of the sweeper, even if that was imported before

        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        for folder in self._unfinished:
            shutil.rmtree(folder)
        before = vars(BasicSweeper)["split_arguments"]
        BasicSweeper.split_arguments = staticmethod(  # type: ignore[assignment]
            lambda _, most: list(BasicSweeper.split_overrides_to_chunks(self._jobs, most))
        )
        try:
            yield
        finally:
            BasicSweeper.split_arguments = before  # type: ignore[method-assign]

    def _plan(self) -> SweepPlan:
        plan = SweepPlan.read(self._folder)
        if plan is None:
            raise ConfigError(f"resume: {self._folder} is no folder of a sweep, which has a jobs.json.")
        if plan.command != self._command:
            raise ConfigError(
                f"resume: {self._folder} is a sweep of envcli {plan.command}, expected one of envcli {self._command}."
            )
        if not plan.complete:
            raise ConfigError(
                f"resume: the jobs of {self._folder} were chosen one after the other by a sweeper that is not Hydra's "
                "basic one. Start that sweeper again; some can go on from a storage of their own."
            )
        return plan

    def _left(self, plan: SweepPlan) -> Iterator[list[str]]:
        """The words of each job that is not finished, with the place where it is to run."""
        begun = {job.number: job for job in Sweep.of(self._folder).jobs if job.folder.parent == self._folder}
        if None in begun:
            raise ConfigError(
                f"resume: {begun[None].folder} is not named NUMBER_ENV, so its number in the sweep is not known. "
                "Type the jobs that are missing."
            )
        for number, words in enumerate(plan.jobs):
            job = begun.get(number)
            if job is None:
                yield [*self._checked(words), f"hydra.sweep.subdir='{number}_${{envcli_task:}}'"]
            elif job.state != "finished":
                yield [*self._again(job, words), f"hydra.sweep.subdir={quoted(job.folder.name)}"]

    def _again(self, job: Job, words: Sequence[str]) -> list[str]:
        if job.state == "running":
            where = f"process {job.status.get('pid')} on {job.status.get('host')}"
            raise ConfigError(f"resume: job {job.number} is at work, {where}. Wait for it, or end it first.")
        if job.state == "unreadable":
            raise ConfigError(f"resume: job {job.number}: {job.error} Remove {job.folder} to run it anew.")
        if saved_config(job.folder).get("total_steps") is not None:
            return [f"resume={quoted(str(job.folder))}"]
        self._unfinished.append(job.folder)
        return self._checked(words)

    def _checked(self, words: Sequence[str]) -> list[str]:
        """``words`` of the plan; that a stranger's folder does not allow itself to import code, nor steers Hydra."""
        plain = [str(one) for one in parsed(words) if one.key != "allow_imports" and not one.is_about_hydra]
        return overrides.check(self._command, plain, False, self._config_dirs)

"""Measures settings, each in its own process."""

from __future__ import annotations

import contextlib
import time
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from envcli.bench.lane import Lane
from envcli.bench.race import enough_passes, race
from envcli.bench.sample import Sample
from envcli.bench.workload import Workload
from envcli.errors import EnvcliError, EnvError
from envcli.tuning.setting import Setting

__all__ = ["Trials"]

_PASS = 0.25  # seconds that a pass should take, and a repetition at least
_FEWEST_STEPS = 32  # steps of each env in a pass, at least, or the cost of a rollout itself would dominate
_PROBE_STEPS = 64  # steps to find how long a step takes
_SAME_STEPS = 24  # steps of each env to see whether all bits are equal
_LEAST, _MOST = 5, 15  # repetitions in turn
_BEFORE = 4  # passes, about, for warming up and finding how many make a repetition
_FAREWELL = 0.5  # seconds, about, that a process takes to close


class Trials:
    """Measures settings for `envcli.tuning.search.search`. A context manager, which closes the processes.

    First looks share one process, so imports are done once; settings that are compared have a process each.

    Args:
        subject: the contender.
        work: the typed workload; passes are shorter than ``work.steps`` if there are many envs.
        logs: the folder for what the processes print.
        threads, timeout: see `envcli.bench.lane.Lane`.
    """

    def __init__(self, subject: str, work: Workload, logs: Path, threads: int, timeout: float) -> None:
        self._subject, self._work, self._logs = subject, work, logs
        self.transforms = len(work.transforms)
        self._limits = threads, timeout
        probe = Setting("none", moved=len(work.cfg.get("outer_transforms") or {})).applied(work, _PROBE_STEPS)
        began = time.monotonic()
        self._lane = Lane(subject, probe, logs / "looks.txt", *self._limits)
        self._starting = time.monotonic() - began  # seconds that a contender takes to start
        self._building = 0.0  # seconds that workers took to start, at most so far
        self._lane.run(1)
        sample = self._lane.run(1)
        self._pace = sample.wall / sample.steps

    def __enter__(self) -> Trials:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._lane.__exit__(kind, error, trace)

    def steps(self, setting: Setting) -> int:
        """Steps of each env in a pass: as typed, or as many as fit into its time."""
        fitting = int(_PASS / self._pace * setting.workers / setting.envs)
        return min(self._work.steps, max(fitting, _FEWEST_STEPS))

    def look(self, setting: Setting) -> Sample:
        """See `envcli.tuning.search.Trial`."""
        began = time.monotonic()
        self._build(setting, self.steps(setting))
        if setting.kind == "processes":
            self._building = max(self._building, time.monotonic() - began)
        self._lane.run(1)
        return self._lane.run(enough_passes(self._lane, _PASS))

    def least(self, settings: Sequence[Setting]) -> float:
        """See `envcli.tuning.search.Trial`."""
        workers = self._building * sum(setting.kind == "processes" for setting in settings)
        repetitions = (_BEFORE + _LEAST) * sum(map(self._repetition, settings))
        return workers + repetitions + (self._starting + _FAREWELL) * len(settings)

    def _repetition(self, setting: Setting) -> float:
        """About how many seconds a repetition takes."""
        return 1.3 * max(_PASS, self._pace * self.steps(setting) * setting.envs / setting.workers)

    def sides(self, setting: Setting, until: float) -> list[int]:
        """See `envcli.tuning.search.Trial`: the most transforms that can be outside, and the least."""
        with contextlib.suppress(EnvError):
            bits = self._bits(setting, setting.moved)
            orders = (range(self.transforms, setting.moved, -1), range(setting.moved))
            found = (self._first_equal(setting, bits, order, until) for order in orders)
            return [side for side in found if side is not None]
        return []

    def _first_equal(self, setting: Setting, bits: str, order: Sequence[int], until: float) -> int | None:
        for moved in order:
            if time.monotonic() > until:
                return None
            if not replace(setting, moved=moved).can_be_typed(self._work):
                continue
            with contextlib.suppress(EnvcliError):  # a transform cannot be there
                if self._bits(setting, moved) == bits:
                    return moved
        return None

    def _bits(self, setting: Setting, moved: int) -> str:
        envs = Setting("serial", min(setting.envs, 2), 1, moved)  # the bits are equal wherever they run
        self._build(envs, _SAME_STEPS)
        return self._lane.digest()

    def _build(self, setting: Setting, steps: int) -> None:
        try:
            self._lane.rebuild(setting.applied(self._work, steps))
        except EnvError:
            raise
        except EnvcliError as error:
            raise EnvError(f"{setting}: {error}") from error

    def compare(self, settings: Sequence[Setting], until: float) -> dict[Setting, list[Sample]]:
        """See `envcli.tuning.search.Trial`."""
        failed: dict[str, str] = {}
        until -= _FAREWELL * len(settings)
        with contextlib.ExitStack() as stack:
            lanes: list[Lane] = []
            for i, setting in enumerate(settings):
                began = time.monotonic()
                if began + self._starting > until:
                    return {}
                work = setting.applied(self._work, self.steps(setting))
                lane = stack.enter_context(Lane(self._subject, work, self._logs / f"{i}.txt", *self._limits))
                lane.name = str(setting)
                lanes.append(lane)
            samples = race(lanes, _MOST, 1, _PASS, failed=failed, until=until)
        return {setting: samples[str(setting)] for setting in settings if str(setting) not in failed}

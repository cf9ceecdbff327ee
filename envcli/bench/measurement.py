"""One measurement: the contenders that take part, each in its own process, and their samples."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envcli.bench.lane import ClockedLane, Lane, Skipped
from envcli.bench.race import race
from envcli.bench.sample import Sample
from envcli.bench.workload import Workload
from envcli.errors import ConfigError, EnvError
from envcli.terminal.termination import cleared

__all__ = ["VARIANT", "Measured", "Measurement"]

VARIANT = "variant"
"""The name of the subject where it does other work."""


@dataclass
class Measured:
    """The results of a measurement, by the name of the contender.

    Attributes:
        samples: one for each round.
        about: start-up seconds, memory, and frames in a step, for JSON.
        left_out, failed: contenders that cannot take part, or failed on the way -> the reason.
        clocked: samples of the subject with clocks in its layers, and their readings; empty without clocks.
        envs: the number of envs of the subject.
    """

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)  # Any: what JSON can hold
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    clocked: tuple[list[Sample], list[dict[str, Any]]] = ([], [])  # Any: see above
    envs: int = 1


@dataclass(frozen=True)
class Measurement:
    """A measurement to make.

    Attributes:
        subject: the contender that is compared with the others.
        work: what all contenders do.
        variant: other work, for which the subject takes part a second time; None: it does not.
        peers: the other contenders.
        clocks: whether the subject also runs with clocks in its layers.
        repetitions, warm_up, seconds: see `envcli.bench.race.race`.
        threads, timeout: see `envcli.bench.lane.Lane`.
    """

    subject: str
    work: Workload
    variant: Workload | None = None
    peers: Sequence[str] = ()
    clocks: bool = False
    repetitions: int = 9
    warm_up: int = 1
    seconds: float = 0.3
    threads: int = 1
    timeout: float = 600.0

    def run(self, logs: Path, tell: Callable[[str], None]) -> Measured:
        """Let all take turns. ``logs`` is the folder for what they print; ``tell`` is called with what happens next.

        Raises:
            ConfigError: the subject cannot do this work.
            EnvError: it failed.
        """
        found = Measured()
        with contextlib.ExitStack() as stack:
            lanes = self._lanes(stack, logs, tell, found)
            runners: list[Lane | ClockedLane] = [*lanes]
            if self.clocks:
                runners.insert(1, lanes[0].clocked())
            samples = race(runners, self.repetitions, self.warm_up, self.seconds, tell, found.failed)
            for runner in runners:
                if runner.name not in samples:
                    continue
                if isinstance(runner, ClockedLane):
                    found.clocked = samples[runner.name], runner.readings[-self.repetitions :]
                    continue
                found.samples[runner.name] = samples[runner.name]
                frames = (runner if runner.name == VARIANT else lanes[0]).frames_per_step  # peers do the subject's work
                about = {"start_seconds": runner.start_seconds, "memory": runner.memory(), "frames_per_step": frames}
                found.about[runner.name] = about
            found.envs = lanes[0].envs
        return found

    def _lanes(
        self, stack: contextlib.ExitStack, logs: Path, tell: Callable[[str], None], found: Measured
    ) -> list[Lane]:
        """The lanes of all that can take part, the subject first; the others are given its actions."""
        folder = tempfile.TemporaryDirectory(prefix="envcli-")
        stack.enter_context(cleared(folder.cleanup))
        scratch = Path(folder.name)
        tell(f"starting {self.subject}")
        try:
            first = stack.enter_context(self._lane(self.subject, self.work, logs, self.clocks))
        except Skipped as reason:
            raise ConfigError(f"{self.subject}: {reason}") from reason
        work, lanes = first.actions(scratch / "actions.npy"), [first]
        others: Mapping[str, Workload] = {} if self.variant is None else {VARIANT: self.variant}
        for name, what in {**others, **dict.fromkeys(self.peers, work)}.items():
            if name == self.subject:
                continue
            tell(f"starting {name}")
            try:
                lanes.append(stack.enter_context(self._lane(name, what, logs)))
            except Skipped as reason:
                found.left_out[name] = str(reason)
                tell("")
                print(f"left out: {name}: {reason}", file=sys.stderr)
            except EnvError as error:
                found.failed[name] = str(error)
        return lanes

    def _lane(self, name: str, work: Workload, logs: Path, clocks: bool = False) -> Lane:
        who = self.subject if name == VARIANT else name
        lane = Lane(who, work, logs / f"{name}.txt", self.threads, self.timeout, clocks)
        lane.name = name
        return lane

"""A contender in its own process, seen from the process that measures."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import types
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from envcli.bench.sample import Sample
from envcli.bench.workload import Workload
from envcli.errors import ConfigError, EnvcliError, EnvError
from envcli.processes import anonymous_bytes, family

__all__ = ["ClockedLane", "Lane", "Skipped"]

_POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_GLANCE = 0.5  # seconds between two checks that the process is alive
_FAREWELL = 10.0  # seconds that closing may take


class Skipped(EnvcliError):
    """A contender that cannot take part here; the message says why."""


class Lane:
    """Builds a contender in a new process and runs it when it is its turn. A context manager, which closes it.

    Args:
        name: the contender.
        work: what it does.
        log: the file for whatever it prints.
        threads: threads that torch, numpy and the like may use for one operation.
        timeout: seconds that building it, or one repetition, may take.
        clocks: build it a second time with clocks in its layers, see :meth:`clocked`.

    Raises:
        Skipped: it is not installed, or cannot do this work.
        ConfigError: the configuration cannot be built.
        EnvError: it failed, took too long, or its process ended.
    """

    def __init__(
        self,
        name: str,
        work: Workload,
        log: Path,
        threads: int = 1,
        timeout: float = 600.0,
        clocks: bool = False,
    ) -> None:
        self.name, self.work = name, work
        self._log, self._timeout = log, timeout
        program = f"import sys; sys.path[:] = {sys.path!r}; from envcli.bench.contender_server import main; main()"
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,  # a line that a dead process did not take must not wait to fail again in close
                env={**os.environ, **dict.fromkeys(_POOLS, str(threads))},
                start_new_session=True,  # a Ctrl-C is ours; and what it started can be ended with it
            )
        self._rest = b""
        self._anonymous = 0
        try:
            answer = self._ask("start", name=name, work=asdict(work), clocks=clocks)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self.start_seconds = float(answer["seconds"])
        self.envs, self.frames_per_step = answer["envs"], answer["frames"]

    def actions(self, path: Path) -> Workload:
        """The work with the actions that this contender takes, written to ``path``, if they can be said."""
        known = self._ask("actions", path=str(path))["known"]
        return replace(self.work, actions=str(path) if known else None)

    def run(self, passes: int) -> Sample:
        """Do the work ``passes`` times."""
        sample = Sample(**self._ask("run", passes=passes))
        self._glance()
        return sample

    def rebuild(self, work: Workload) -> None:
        """From here on, do other work. Raises as the constructor does."""
        self.work = work
        self._ask("rebuild", work=asdict(work))

    def digest(self) -> str:
        """Of a rollout of ours: equal where all bits are."""
        return str(self._ask("digest")["digest"])

    def clocked(self) -> ClockedLane:
        """The one with its layers timed, in the same process: two processes differ by up to a tenth in speed."""
        return ClockedLane(self)

    def memory(self) -> dict[str, Any]:
        """Peak resident bytes: ``main`` of its process, ``others`` of each that it started.

        ``anonymous``: the most that was seen of its process's own memory, files that it maps left out; looked at from
        here, twice a second in long runs and after each; None where it cannot be told.
        """
        return {**self._ask("memory"), "anonymous": self._anonymous or None}

    def _glance(self) -> None:
        self._anonymous = max(self._anonymous, anonymous_bytes(self._process.pid) or 0)

    def close(self) -> None:
        """Let it close, and end what is left of it. Safe to call twice."""
        process = self._process
        if process.stdin is None or process.stdin.closed:
            return
        with contextlib.suppress(EnvcliError):
            self._timeout = _FAREWELL
            if process.poll() is None:
                self._ask("close")
                process.wait(_FAREWELL)
        self._kill()
        process.stdin.close()
        assert process.stdout is not None
        process.stdout.close()
        if not self._log.stat().st_size:
            self._log.unlink()

    def __enter__(self) -> Lane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self._kill()  # Ctrl-C: do not wait for an answer
        self.close()

    def _kill(self) -> None:
        for pid in reversed(family(self._process.pid)):
            if pid != self._process.pid or self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # processes that it left behind
        self._process.wait()

    def _ask(self, word: str, **given: Any) -> dict[str, Any]:  # Any: what JSON can hold
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which the missing answer will show
            self._process.stdin.write(json.dumps([word, given]).encode() + b"\n")
            self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line(word))
        if "skip" in answer:
            raise Skipped(answer["skip"])
        if "mistake" in answer:
            raise ConfigError(answer["mistake"])
        if "error" in answer:
            raise EnvError(f"{self.name}: {answer['error']} (full log: {self._log})")
        return answer

    def _line(self, word: str) -> bytes:
        assert self._process.stdout is not None
        fd, deadline = self._process.stdout.fileno(), time.monotonic() + self._timeout
        while b"\n" not in self._rest:
            if select.select([fd], [], [], _GLANCE)[0]:
                found = os.read(fd, 65536)
                self._rest += found
                if found:
                    continue
            self._glance()
            if self._process.poll() is not None:
                raise EnvError(
                    f"{self.name}: its process ended with {self._process.returncode} at {word!r} "
                    f"(full log: {self._log})"
                )
            if time.monotonic() > deadline:
                self._kill()  # it would not answer a request to close either
                raise EnvError(
                    f"{self.name}: no answer to {word!r} within {self._timeout:g} s. Give it timeout=SECONDS"
                )
        line, _, self._rest = self._rest.partition(b"\n")
        return line


class ClockedLane:
    """The second contender of a :class:`Lane`; ``readings`` grows by one with each run."""

    def __init__(self, lane: Lane) -> None:
        self.name = f"{lane.name} with clocks"
        self.readings: list[dict[str, Any]] = []  # Any: what JSON can hold
        self._lane = lane

    def run(self, passes: int) -> Sample:
        """Do the work ``passes`` times."""
        answer = self._lane._ask("run_clocked", passes=passes)
        self.readings.append(answer.pop("reading"))
        return Sample(**answer)

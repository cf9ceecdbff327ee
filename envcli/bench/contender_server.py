"""What runs in a contender's process: it reads requests, each a line of JSON, and answers each with a line.

Each contender has its own process, so that it inherits no imports, threads, memory or faults of another, its start-up
and peak memory can be measured, and a crash can be told from a slow run.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from envcli.bench.workload import Unfit, Workload
from envcli.errors import ConfigError, EnvcliError, MissingDependency, described
from envcli.processes import cpu_seconds, family, peak_bytes
from envcli.vocabulary import registry

__all__ = ["ContenderServer", "main"]

Answer = dict[str, Any]  # Any: what JSON can hold


class ContenderServer:
    """Builds one contender and lets it do its work."""

    def __init__(self) -> None:
        self._contender: Any = None  # Any: the contract stands above this room; it is reached by name
        self._clocked: Any = None  # Any: the same once more, with clocks in it
        self._layers: Any = None  # Any: a Layers, which is imported late

    def start(self, name: str, work: Answer, clocks: bool = False) -> Answer:
        """Import and build the contender ``name``: everything before the first step.

        With ``clocks``, a second one is built afterwards, with clocks in its layers, see :meth:`run_clocked`.
        """
        begin = time.perf_counter()
        cls = registry.find("contenders", name, "peers")
        self._contender = cls(Workload(**work))
        seconds = time.perf_counter() - begin
        if clocks:
            from envcli.clocks.layers import Layers

            self._layers = Layers()
            self._clocked = cls(Workload(**work))
            self._layers.remove()
        told = {"envs": self._contender.envs, "frames": self._contender.frames_per_step}
        return {"seconds": seconds, "steps": self._contender.env_steps, **told}

    def rebuild(self, work: Answer) -> Answer:
        """Close the contender and build it again for other work; its imports are already done."""
        kind = type(self._contender)
        self._contender.close()
        self._contender = kind(Workload(**work))
        return {}

    def digest(self) -> Answer:
        """A hash of the rollout that its env makes from its seed: equal if all bits are equal."""
        import torch

        env, work = self._contender._env, self._contender.work
        env.set_seed(work.seed)
        torch.manual_seed(work.seed)
        made = env.rollout(work.steps, break_when_any_done=False)
        found = hashlib.sha256()
        for key in sorted(made.keys(True, True), key=str):
            found.update(f"{key} {made[key].dtype} {list(made[key].shape)}".encode())
            found.update(made[key].contiguous().numpy(force=True).tobytes())
        return {"digest": found.hexdigest()}

    def actions(self, path: str) -> Answer:
        """Write the contender's actions to ``path``, if they can be known."""
        import numpy as np

        found = self._contender.actions()
        if found is not None:
            np.save(path, found)
        if self._clocked is not None:
            self._clocked.actions()  # from then on both take the same actions
        return {"known": found is not None}

    def run(self, passes: int) -> Answer:
        """Do the work ``passes`` times. Returns env steps, wall seconds, and CPU seconds with child processes."""
        return self._run(self._contender.run, passes)

    def run_clocked(self, passes: int) -> Answer:
        """As :meth:`run`, with clocks; ``reading`` is from `envcli.clocks.layers.Layers.read`."""
        layers = self._layers
        layers.install()
        try:
            layers.clear()
            sample = self._run(layers.time_whole(self._clocked.run), passes)
            return {**sample, "reading": layers.read()}
        finally:
            layers.remove()

    def _run(self, run: Callable[[], None], passes: int) -> Answer:
        me = os.getpid()
        gc.collect()
        workers = family(me)[1:]
        others = sum(map(cpu_seconds, workers))
        own, begin = time.process_time(), time.perf_counter()
        for _ in range(passes):
            run()
        wall, cpu = time.perf_counter() - begin, time.process_time() - own
        cpu += max(0.0, sum(map(cpu_seconds, workers)) - others)
        return {"steps": self._contender.env_steps * passes, "wall": wall, "cpu": cpu}

    def memory(self) -> Answer:
        """Peak memory of this process and of each below it, in bytes."""
        me, *others = family(os.getpid())
        return {"main": peak_bytes(me), "others": [peak_bytes(pid) for pid in others]}

    def close(self) -> Answer:
        """Close the contender, with everything it started."""
        for contender in (self._contender, self._clocked):
            if contender is not None:
                contender.close()
        return {}


def main() -> None:
    """Answer requests until the pipe is closed. What libraries print goes to stderr."""
    words = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # its child processes inherit neither
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    server = ContenderServer()
    for line in words:
        word, given = json.loads(line)
        _say(answers, _answer(server, word, given))
        if word == "close":
            return
    server.close()


def _answer(server: ContenderServer, word: str, given: Answer) -> Answer:
    try:
        return dict(getattr(server, word)(**given))
    except Exception as error:  # reported by the other side; the traceback is in the log
        text = " ".join(str(error).split())
        if isinstance(error, (MissingDependency, Unfit)):
            return {"skip": text}
        traceback.print_exc()
        if isinstance(error, ConfigError):
            return {"mistake": text}
        return {"error": text if isinstance(error, EnvcliError) else described(error)}


def _say(answers: TextIO, answer: Answer) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()

"""What runs in a contender's own process: it is told what to do, a line of JSON at a time, and answers with one.

A process of its own, so that no contender inherits another's imports, threads, memory or mistakes; so that start-up and
peak memory are its own; and so that a crash is told from a slow one.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from typing import Any, TextIO

from envcli import registry
from envcli.bench.processes import cpu_seconds, family, peak_bytes
from envcli.bench.workload import Unfit, Workload
from envcli.errors import ConfigError, EnvcliError, MissingDependency

__all__ = ["Runner", "main"]

Answer = dict[str, Any]  # Any: what JSON can hold


class Runner:
    """Builds one contender, and has it do its work."""

    def __init__(self) -> None:
        self._contender: Any = None  # Any: the contract stands above this room; it is reached by name

    def start(self, name: str, work: Answer) -> Answer:
        """Import and build the contender ``name``: all that is needed until the first step."""
        begin = time.perf_counter()
        cls = registry.find("contenders", name, "peers")
        self._contender = cls(Workload(**work))
        return {"seconds": time.perf_counter() - begin, "steps": self._contender.env_steps}

    def actions(self, path: str) -> Answer:
        """Write the actions that the contender takes to ``path``, if they can be said."""
        import numpy as np

        found = self._contender.actions()
        if found is not None:
            np.save(path, found)
        return {"known": found is not None}

    def run(self, passes: int) -> Answer:
        """Do the work ``passes`` times: env steps, wall seconds, CPU seconds of this process and all below it."""
        run, me = self._contender.run, os.getpid()
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
        """Peak bytes of this process, and of each below it."""
        me, *others = family(os.getpid())
        return {"main": peak_bytes(me), "others": [peak_bytes(pid) for pid in others]}

    def close(self) -> Answer:
        """End whatever the contender started."""
        if self._contender is not None:
            self._contender.close()
        return {}


def main() -> None:
    """Answer until there is nobody to ask. What libraries print goes to stderr."""
    words = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what it starts inherits neither
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    runner = Runner()
    for line in words:
        word, given = json.loads(line)
        _say(answers, _answer(runner, word, given))
        if word == "close":
            return
    runner.close()


def _answer(runner: Runner, word: str, given: Answer) -> Answer:
    try:
        return dict(getattr(runner, word)(**given))
    except Exception as error:  # whatever it is, the other side says it; the traceback is in the log
        text = " ".join(str(error).split())
        if isinstance(error, (MissingDependency, Unfit)):
            return {"skip": text}
        traceback.print_exc()
        if isinstance(error, ConfigError):
            return {"mistake": text}
        return {"error": text if isinstance(error, EnvcliError) else f"{type(error).__name__}: {text}"}


def _say(answers: TextIO, answer: Answer) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()

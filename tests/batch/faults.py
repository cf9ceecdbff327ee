"""Envs that fail in every way, and what is left of processes, files and memory: for the tests beside."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections import Counter
from typing import Any, NamedTuple

import cloudpickle
from tensordict import TensorDictBase

from envcli.testing.toys import CountingEnv

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers need not know where the tests are


class Odd(Exception):
    """Cannot be pickled, and could not be made again."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.lock = threading.Lock()


class Mute(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def fail(kind: str) -> None:
    """Go wrong."""
    if kind == "raises":
        raise ValueError("the first line\nand the second")
    if kind == "raises what cannot be pickled":
        raise Odd("odd", "two")
    if kind == "raises what cannot be told":
        raise Mute
    if kind == "calls sys.exit":
        sys.exit(3)
    if kind == "exits":
        os._exit(3)
    if kind == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "segfaults":
        ctypes.string_at(0)
    if kind == "is stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "ignores SIGTERM":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1000)  # "hangs", and who ignores SIGTERM


class Faulty(CountingEnv):
    """Fails in ``phase``, when it has made ``at`` steps. A step takes ``seconds``."""

    def __init__(self, kind: str = "", phase: str = "", at: int = 0, seconds: float = 0.0) -> None:
        super().__init__(limit=5)
        self.kind, self.phase, self.at, self.seconds = kind, phase, at, seconds
        self._fail_in("build")

    def _fail_in(self, phase: str) -> None:
        if self.phase == phase and self.steps_made >= self.at:
            fail(self.kind)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self._fail_in("reset")
        return super()._reset(tensordict, **options)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        time.sleep(self.seconds)
        self._fail_in("step")
        return super()._step(tensordict)

    def _close(self) -> None:
        self._fail_in("close")


def makers(kind: str = "", phase: str = "", **more: Any) -> list[Any]:
    """Four envs, of which number 2 fails: the first of worker 1, if there are two."""
    return [
        lambda i=i: Faulty(kind, phase, **more) if i == 2 else Faulty(seconds=more.get("seconds", 0)) for i in range(4)
    ]


class Belongings(NamedTuple):
    """What this process has."""

    processes: frozenset[int]
    files: Counter[str]
    segments: frozenset[str]

    @classmethod
    def now(cls) -> Belongings:
        ours = [name for name in os.listdir("/dev/shm") if "envcli" in name or str(os.getpid()) in name]
        return cls(frozenset(descendants()), Counter(open_files()), frozenset(ours))

    def more_than(self, before: Belongings) -> list[Any]:
        """What was not there ``before``."""
        more = [self.processes - before.processes, self.files - before.files, self.segments - before.segments]
        return [new for new in more if new]


def descendants() -> dict[int, str]:
    """Children, their children and so on: number -> name."""
    parents, names = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        parents[int(entry)], names[int(entry)] = int(rest.split()[1]), name
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: names[pid] for pid in found - {os.getpid()}}


def is_alive(pid: int) -> bool:
    """Is there such a process, and not only a word of how it ended?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def open_files() -> list[str]:
    """What the file descriptors of this process are of."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
        except OSError:  # that of the listing itself
            continue
    return found

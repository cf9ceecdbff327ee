"""A process and all that it started: the cores they may use, the CPU time they used, how much memory at most.

Read from Linux's ``/proc``. Elsewhere only the calling process is seen, and its peak is None.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

__all__ = ["anonymous_bytes", "began", "cores", "cpu_seconds", "family", "peak_bytes"]

_PROC = Path("/proc")
_CPUCLOCK_SCHED = 2  # linux/posix-timers.h: of a whole process, in nanoseconds; /proc/<pid>/stat counts in 10 ms


def cores() -> int:
    """The number of cores that the calling process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def family(root: int) -> list[int]:
    """``root``, then every living process that descends from it: children of children too."""
    parents = {}
    for path in _PROC.glob("[0-9]*/stat"):
        if fields := _stat(path):
            parents[int(path.parent.name)] = int(fields[1])
    found, young = [root], {root}
    while young := {pid for pid, parent in parents.items() if parent in young}:
        found += sorted(young)
    return found


def began(pid: int) -> str | None:
    """When a process began, in the kernel's own words; None if it has ended, or where there is no ``/proc``.

    >>> began(0) is None
    True
    """
    fields = _stat(_PROC / str(pid) / "stat")
    return fields[19] if fields and fields[0] not in "ZX" else None


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process since it began; 0 if it is gone.

    >>> cpu_seconds(os.getpid()) > 0
    True
    """
    if pid == os.getpid():
        return time.process_time()
    if sys.platform != "linux":
        return 0.0
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:  # gone, or a kernel that keeps this clock from us
        fields = _stat(_PROC / str(pid) / "stat")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def peak_bytes(pid: int) -> int | None:
    """The most memory that a process has had resident, pages that it shares with others included."""
    return _status(pid, "VmHWM:")


def anonymous_bytes(pid: int) -> int | None:
    """Memory that a process has now and that is of no file: what it would take elsewhere too."""
    return _status(pid, "RssAnon:")


def _status(pid: int, name: str) -> int | None:
    try:
        lines = (_PROC / str(pid) / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def _stat(path: Path) -> list[str]:
    """The fields after the name, which may itself hold spaces and brackets; none if the process is gone."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []

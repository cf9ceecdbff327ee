"""How much memory can still be had."""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["free_memory"]


def free_memory(machine: Path = Path("/proc/meminfo"), container: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that can still be had, without swapping, by the machine's account and by the container's; None: unknown.

    A container is charged for files that it has read or written, but lets go of them where memory is wanted.
    """
    found = []
    with contextlib.suppress(OSError):  # not Linux, or no such account
        lines = machine.read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    with contextlib.suppress(OSError):
        limit, used, about = (
            (container / f"memory.{name}").read_text(encoding="ascii") for name in ("max", "current", "stat")
        )
        pages = dict(line.split() for line in about.splitlines())
        files = sum(int(pages.get(name, 0)) for name in ("active_file", "inactive_file"))
        found += [int(limit) - int(used) + files] if limit.strip() != "max" else []
    return min(found, default=None)

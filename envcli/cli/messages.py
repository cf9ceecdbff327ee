"""Turns an exception into one line that says where, what was found, what was expected, and what to type."""

from __future__ import annotations

import errno
import os

from envcli.cli.ended import Ended
from envcli.errors import ConfigError, EnvcliError, message_of, noted, told
from envcli.terminal.printable import printable

__all__ = ["explain", "one_line"]

_ELSEWHERE = "hydra.run.dir=FOLDER, of a sweep hydra.sweep.dir=FOLDER"
_FULL_DISK = f"no space left on device. Free some space, or write elsewhere: {_ELSEWHERE}."
_LIMITS = {
    errno.EMFILE: "Raise the limit (ulimit -n 4096), or take fewer workers: parallel.num_workers=...",
    errno.ENFILE: "Close other programs, or take fewer workers: parallel.num_workers=...",
    errno.EFBIG: "The shell allows no larger files (ulimit -f), or the disk's file system holds none.",
}
_LESS = "Take fewer envs (parallel.num_envs), fewer steps in one piece (total_steps, shard_steps) or smaller frames."
_FULL = "Set HYDRA_FULL_ERROR=1 to see the way there."


def explain(error: BaseException) -> tuple[str, int]:
    """The line for stderr, and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return one_line(error) or "interrupted", error.code if isinstance(error, Ended) else 130
    if isinstance(error, EnvcliError):
        return f"error: {one_line(error)}", 2 if isinstance(error, ConfigError) else 1
    if isinstance(error, OSError) and error.errno in _LIMITS:
        return f"error: {os.strerror(error.errno).lower()}. {_LIMITS[error.errno]}", 1
    if isinstance(error, OSError) and error.filename:
        reason = (error.strerror or type(error).__name__).lower()
        place = printable(" ".join(str(error.filename).split()))
        read = os.path.exists(error.filename) and not os.access(error.filename, os.R_OK)
        cure = "" if read else f" Choose another folder: {_ELSEWHERE}."
        return f"error: {place}: {reason}.{cure}", 1
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"error: {_FULL_DISK}", 1
    if _is_of_memory(error):
        return f"error: out of memory: {printable(noted(error, message_of(error))) or 'no room'}. {_LESS}", 1
    return f"error: unexpected {one_line(error)}. {_FULL}", 1


def _is_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in message_of(error))  # torch's
    )


def one_line(error: BaseException) -> str:
    """What to tell of ``error``, which cannot write to the terminal by it."""
    return printable(told(error))

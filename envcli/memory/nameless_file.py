"""A file without a name, which several processes can open and nobody has to delete."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

__all__ = ["is_nameless", "nameless_file"]

_NAMELESS = "/proc/"  # where a file without a name is found


def nameless_file(owner: object) -> tuple[int, str]:
    """An empty file that disappears with ``owner``: its descriptor, and the path for other processes of this user."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("envcli")
        file = f"{_NAMELESS}{os.getpid()}/fd/{fd}"
    else:
        fd, file = tempfile.mkstemp(prefix="envcli-")
    weakref.finalize(owner, _release, fd, file)
    return fd, file


def is_nameless(file: str) -> bool:
    """Is it a file that has no name in the file system?"""
    return file.startswith(_NAMELESS)


def _release(fd: int, file: str) -> None:
    os.close(fd)
    if not is_nameless(file):
        Path(file).unlink(missing_ok=True)

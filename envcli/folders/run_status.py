"""How a run goes, as ``status.json`` in its folder says."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from envcli.folders.folder_lock import FolderLock
from envcli.folders.json_file import read_json, write_json

__all__ = ["RunStatus", "run_state"]


class RunStatus:
    """``status.json`` of a run that starts now: running, finished, failed (with the error) or interrupted.

    Args:
        folder: where the file is.
        overrides: what was typed.
    """

    def __init__(self, folder: Path, overrides: Sequence[str]) -> None:
        self.started = _now()
        self._file = folder / "status.json"
        self._overrides = overrides

    def read(self) -> dict[str, Any]:  # Any: what JSON can hold
        """What the file holds; empty where there is none."""
        return read_json(self._file)

    def write(self, state: str, error: str | None = None) -> None:
        """Say that it is in ``state`` now."""
        status = {
            "state": state,
            "error": error,
            "overrides": self._overrides,
            "started": self.started,
            "ended": None if state == "running" else _now(),
            "pid": os.getpid(),
            "host": platform.node(),
        }
        write_json(self._file, status)

    def keep_overrides(self, content: Mapping[str, Any]) -> None:  # Any: see above
        """Go on saying what was typed for the run that this one resumes, as :meth:`read` returned it."""
        if isinstance(typed := content.get("overrides"), list):
            self._overrides = typed

    def restore(self, content: Mapping[str, Any]) -> None:  # Any: see above
        """Put back what :meth:`read` returned before this run wrote."""
        write_json(self._file, content)


def run_state(folder: Path, status: Mapping[str, Any]) -> Any:
    """The state in ``status``, the content of ``status.json`` in ``folder``: running, finished, failed or interrupted.

    ``"killed"`` if it says running, on this machine, but no process holds the folder: the one that ran it had no time
    to write how it ended.
    """
    state, here = status.get("state"), status.get("host") == platform.node()
    return "killed" if state == "running" and here and not FolderLock.held(folder) else state


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

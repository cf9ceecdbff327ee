"""The folder of one run: what was asked, where and with what it ran, how it went, and what came out."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import envcli
from envcli.errors import ConfigError, EnvcliError, StoreError

__all__ = ["PACKAGES", "RunFolder", "near", "plain", "read_json", "versions", "write_json", "write_text"]

PACKAGES = ("torch", "tensordict", "numpy", "gymnasium", "hydra-core", "omegaconf", "dm_control", "mujoco", "ale-py")
"""Distributions whose version can change what a run gives; those not installed are left out."""


class RunFolder:
    """One run's own folder, as a context manager.

    ========================  ==================================================================
    ``config.yaml``           the resolved configuration; ``replay=<folder>`` runs it again
    ``manifest.json``         versions, platform, seed, git commit, the command line
    ``status.json``           running, finished, failed (with the error) or interrupted
    ``metrics.json``          the numbers that the command printed
    ``rollout/``              the data, if the command made any
    ========================  ==================================================================

    Entering refuses a folder that holds anything, and writes ``status.json``; leaving writes it again, whatever
    happened. Every JSON file is replaced whole: a reader never sees half of one.
    """

    def __init__(self, path: Path, command: str, overrides: Iterable[str] = (), part_of_sweep: bool = False) -> None:
        self.path = Path(path)
        self.command = command
        self.overrides = list(overrides)
        self.part_of_sweep = part_of_sweep
        self._started = _now()
        self._log: logging.Handler | None = None
        self._asked = False

    def __enter__(self) -> RunFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise ConfigError(f"{self.path}: found files of an earlier run, expected an empty or new folder.")
            self._status("running")
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            reason = (error.strerror or str(error)).lower()
            raise StoreError(
                f"{self.path}: cannot be written, {reason}. Choose another place: hydra.run.dir=FOLDER"
            ) from error
        self._log = logging.FileHandler(self.path / "log.txt", delay=True, encoding="utf-8")
        self._log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(self._log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is not None:
            logging.getLogger().removeHandler(self._log)
            self._log.close()
        if error is not None and not self._asked and not self.part_of_sweep:
            self._vanish()  # a mistake in what was typed: nothing ran, nothing is kept
        elif error is None:
            self._status("finished")
        elif isinstance(error, KeyboardInterrupt):
            self._status("interrupted", str(error) or "interrupted")
        else:
            kind_of = "" if isinstance(error, EnvcliError) else f"{type(error).__name__}: "
            self._status("failed", kind_of + " ".join(str(error).split()))

    def write_config(self, yaml: str, seed: int | None) -> None:
        """Record what is about to run: ``config.yaml`` and ``manifest.json``."""
        self._asked = True
        write_text(self.path / "config.yaml", yaml)
        write_json(self.path / "manifest.json", self._manifest(seed))

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Record the numbers that the run gave, as ``metrics.json``."""
        write_json(self.path / "metrics.json", metrics)

    def _vanish(self) -> None:
        (self.path / "status.json").unlink()
        with contextlib.suppress(OSError):  # the first that holds something else ends it
            self.path.rmdir()
            for folder in self.path.parents:
                if folder.is_relative_to(Path.cwd()) and folder != Path.cwd():
                    folder.rmdir()

    def _manifest(self, seed: int | None) -> dict[str, Any]:
        return {
            "command": self.command,
            "argv": [self.command, *sys.argv[1:]],
            "overrides": self.overrides,
            "seed": seed,
            "started": self._started,
            "versions": versions(),
            "platform": platform.platform(),
            "machine": platform.machine(),
            "git": _git(),
        }

    def _status(self, state: str, error: str | None = None) -> None:
        status = {
            "state": state,
            "error": error,
            "overrides": self.overrides,
            "started": self._started,
            "ended": None if state == "running" else _now(),
            "pid": os.getpid(),
            "host": platform.node(),
        }
        write_json(self.path / "status.json", status)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read, {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path}: found {type(found).__name__}, expected a JSON object.")
    return found


def near(path: Path) -> str:
    """The path from here if it is below here, else the whole of it; for messages."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace ``path`` as a whole; nan and infinity, which JSON lacks, become null."""
    write_text(path, json.dumps(plain(content), indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` as a whole; a link that stands there is replaced, not followed."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def plain(value: Any) -> Any:  # Any: whatever JSON can hold
    """``value`` as JSON can hold it: nan and infinity become null, tuples lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def versions() -> dict[str, str]:
    """What runs here: envcli, Python, and the `PACKAGES` that are installed."""
    found = {"envcli": envcli.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git() -> dict[str, Any] | None:
    """Commit and dirty flag of the repository in the working directory; None where there is none."""
    sha = _output("git", "rev-parse", "HEAD")
    changes = _output("git", "status", "--porcelain", "--untracked-files=no")
    return None if sha is None else {"sha": sha, "dirty": None if changes is None else bool(changes)}


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, no repository, or a slow one: not worth failing a run
        return None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")

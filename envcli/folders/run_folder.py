"""The folder of one run: what was asked, where and with what it ran, how it went, and what came out."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from envcli.errors import ConfigError, EnvcliError, StoreError
from envcli.folders.folder_lock import FolderLock
from envcli.folders.given_file import GivenFile
from envcli.folders.json_file import read_json, write_bytes, write_json, write_text
from envcli.installed.provenance import commit, versions

__all__ = ["RunFolder", "run_state"]

log = logging.getLogger(__name__)

_OWN = {"config.yaml", "log.txt", "manifest.json", "status.json"}  # what says nothing but that there was a run


class RunFolder:
    """One run's own folder, as a context manager.

    ========================  ==================================================================
    ``config.yaml``           the resolved configuration; ``replay=<folder>`` runs it again
    ``manifest.json``         versions, platform, seed, git commit, files that were read, the command line
    ``status.json``           running, finished, failed (with the error) or interrupted
    ``metrics.json``          the numbers that the command printed
    ``rollout/``              the data, if the command made any
    ``env_state.pt``          what the env had learnt at the end of a rollout, if anything
    ========================  ==================================================================

    Entering refuses a folder that holds anything, and writes ``status.json``; leaving writes it again, whatever
    happened. Every JSON file is replaced whole: a reader never sees half of one. The folder is locked meanwhile. A
    ConfigError before there is any result, such as a misspelt env, leaves no folder, unless a sweep's table names it.

    Args:
        path: the folder. ``home`` says the same.
        command: what runs.
        overrides: what was typed.
        part_of_sweep: is this one job of several?
        resumed: go on in the folder of a run that was stopped.
        overwrite: where ``path`` is an earlier run, work beside it, in ``path`` (``home`` with ``.new`` behind), and
            take its place only when all went well.
        hide: takes out of the text of an error what is not to be written down.

    Raises:
        ConfigError: the folder holds an earlier run, or anything else; or there is none to resume.
        StoreError: it cannot be written, or another process writes there.
    """

    def __init__(
        self,
        path: Path,
        command: str,
        overrides: Iterable[str] = (),
        part_of_sweep: bool = False,
        resumed: bool = False,
        overwrite: bool = False,
        hide: Callable[[str], str] = str,
    ) -> None:
        self.home = Path(path)
        replaces = overwrite and not resumed and (self.home / "status.json").is_file()
        self.path = self.home.with_name(f"{self.home.name}.new") if replaces else self.home
        self.command = command
        self.overrides = list(overrides)
        self.part_of_sweep = part_of_sweep
        self.resumed = resumed
        self.config: dict[str, Any] = {}  # as it is written: what environment variables hold is left open
        self._hide = hide
        self._lock: FolderLock | None = None
        self._replaced: FolderLock | None = None
        self._started = _now()
        self._log: logging.Handler | None = None
        self._asked = False
        self._before: dict[str, Any] = {}  # the status of the run that is resumed

    def __enter__(self) -> RunFolder:
        try:
            if self.path != self.home and self._aside.exists():  # said now, and not when all has run
                raise ConfigError(f"{self._aside}: is needed to set the earlier run aside. Remove it.")
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.path)
            self._replaced = None if self.path == self.home else FolderLock(self.home)
            self._check()
            self._status("running")
        except ConfigError:
            self._unlock()
            raise
        except OSError as error:
            self._unlock()
            if isinstance(error, StoreError):
                raise
            reason = (error.strerror or str(error)).lower()
            raise StoreError(
                f"{self.path}: cannot be written, {reason}. Choose another place: hydra.run.dir=FOLDER"
            ) from error
        except KeyboardInterrupt as error:  # nobody is there yet to have the status say so
            if read_json(self.path / "status.json").get("state") == "running" and self._lock is not None:
                self._status("interrupted", str(error) or "interrupted")
            self._unlock()
            raise
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
        try:
            self._end(error)
        finally:
            self._unlock()

    def _end(self, error: BaseException | None) -> None:
        mistaken = isinstance(error, ConfigError) and (self.resumed or {p.name for p in self.path.iterdir()} <= _OWN)
        refused = not self._asked or mistaken
        if error is not None and refused and not self.part_of_sweep:
            self._vanish()  # a mistake in what was typed: nothing ran, nothing is kept
        elif error is None:
            self._status("finished")
            if self.path != self.home:
                self._take_place()
        elif isinstance(error, KeyboardInterrupt):
            self._status("interrupted", str(error) or "interrupted")
        else:
            kind_of = "" if isinstance(error, EnvcliError) else f"{type(error).__name__}: "
            self._status("failed", self._hide(kind_of + " ".join(str(error).split())))

    def _check(self) -> None:
        """Raise ConfigError where what is in the folder is not to be touched."""
        there = any(self.path.iterdir())
        if self.resumed:
            state = read_json(self.path / "status.json").get("state")
            if not there or state is None:
                raise ConfigError(f"resume: {self.path} is not a run folder. Expected one of outputs/rollout/...")
            if state == "finished":
                raise ConfigError(f"resume: {self.path} is finished, so there is nothing to resume.")
            if link := _link_in(self.path):
                raise ConfigError(
                    f"resume: {link} is a link, so data would be written elsewhere. A run folder must not contain "
                    "links: replace it with its target, or remove it."
                )
            self._before = read_json(self.path / "status.json")
        elif there and self.path != self.home:
            raise ConfigError(f"{self.path}: is left over from an earlier attempt. Resume it, or remove it.")
        elif there:
            cure = " To replace it, add overwrite=true." if (self.path / "status.json").is_file() else ""
            raise ConfigError(f"{self.path}: found files of an earlier run, expected an empty or new folder.{cure}")

    def _take_place(self) -> None:
        """Put the new run where the old one was, and remove that."""
        old = self._aside
        try:
            os.rename(self.home, old)
            os.rename(self.path, self.home)
            shutil.rmtree(old)
        except OSError as error:
            raise StoreError(
                f"{self.home}: cannot be replaced ({error.strerror}). The new run is in "
                f"{self.path if self.path.exists() else self.home}, the old one in {old if old.exists() else self.home}"
            ) from None
        self.path = self.home

    @property
    def _aside(self) -> Path:
        """Where the old run is while the new one takes its place."""
        return self.home.with_name(f"{self.home.name}.old")

    def _unlock(self) -> None:
        for lock in (self._lock, self._replaced):
            if lock is not None:
                lock.release()

    def write_config(
        self, config: Mapping[str, Any], seed: int | None, files: Mapping[str, GivenFile] = MappingProxyType({})
    ) -> None:
        """Record what is about to run, and which files it is given: ``config.yaml`` and ``manifest.json``."""
        from omegaconf import OmegaConf

        self._asked = True
        self.config = dict(config)
        given = {key: asdict(file) for key, file in files.items()}
        if self.resumed:  # the configuration is what it was
            manifest = read_json(self.path / "manifest.json")
            again = {"started": self._started, "versions": versions(), "argv": [self.command, *sys.argv[1:]]}
            resumed = [*manifest.get("resumed", []), {**again, "files": given}]
            write_json(self.path / "manifest.json", {**manifest, "resumed": resumed})
            return
        write_text(self.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(self.config)))
        write_json(self.path / "manifest.json", {**self._manifest(seed), "files": given})

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Record the numbers that the run gave, as ``metrics.json``."""
        write_json(self.path / "metrics.json", metrics)

    def write_env_state(self, state: Mapping[str, Any]) -> None:
        """Keep ``state``, an env's ``state_dict()``, as ``env_state.pt``, unless nothing is in it.

        ``env.load_state_dict(torch.load(path, weights_only=True))`` takes it.
        """
        import torch

        if not _holds(state):
            return
        content = io.BytesIO()
        try:
            torch.save(state, content)
        except (AttributeError, TypeError, ValueError, pickle.PicklingError) as error:  # somebody's own transform
            log.warning("env_state.pt: not written, state_dict() cannot be pickled (%s)", error)
            return
        write_bytes(self.path / "env_state.pt", content.getvalue())

    def _vanish(self) -> None:
        if self.resumed:
            write_json(self.path / "status.json", self._before)
            return
        for name in _OWN:
            (self.path / name).unlink(missing_ok=True)
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
            "git": commit(),
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


def run_state(folder: Path, status: Mapping[str, Any]) -> Any:
    """What ``status.json`` says: running, finished, failed or interrupted.

    Or ``"killed"`` where it says running, on this machine, but nobody writes there any more: who ran it was left no
    time to write how it ended.
    """
    state, here = status.get("state"), status.get("host") == platform.node()
    return "killed" if state == "running" and here and not FolderLock.held(folder) else state


def _holds(state: object) -> bool:
    """Is there anything in it? A batch of envs that learn nothing gives an empty one for each."""
    return any(map(_holds, state.values())) if isinstance(state, Mapping) else True


def _link_in(folder: Path) -> Path | None:
    """A symbolic link somewhere below ``folder``."""
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (found := Path(path, name)).is_symlink():
                return found
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

"""The folder of one run: what was asked, where and with what it ran, how it went, and what came out."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from envcli.errors import ConfigError, StoreError, told
from envcli.folders.given_file import GivenFile
from envcli.folders.json_file import write_json, write_text
from envcli.folders.manifest import note_resumption, write_manifest
from envcli.folders.run_place import RunPlace
from envcli.folders.run_status import RunStatus
from envcli.folders.spare_room import SpareRoom
from envcli.typed_word import shell_word

__all__ = ["RunFolder"]

_OWN = {"config.yaml", "log.txt", "manifest.json", "status.json"}  # files that hold no results


class RunFolder:
    """The folder of one run, as a context manager.

    ========================  ==================================================================
    ``config.yaml``           the resolved configuration; ``replay=<folder>`` runs it again
    ``manifest.json``         versions, platform, seed, git commit, files that were read, the command line
    ``status.json``           running, finished, failed (with the error) or interrupted
    ``metrics.json``          the numbers that the command printed
    ``log.txt``               what was logged, if anything
    ``rollout/``              the data, if the command made any
    ``env_state.pt``          what the env had learnt at the end of a rollout, if anything
    ========================  ==================================================================

    Entering refuses a folder that is not empty, locks it, and writes ``status.json``; leaving writes that again,
    whatever happened. Every JSON file is replaced as a whole, so a reader never sees half of one. A ConfigError before
    there is any result, such as a misspelt env, leaves no folder, unless a sweep's table names it.

    Args:
        path: the folder.
        command: what runs.
        overrides: what was typed.
        part_of_sweep: whether this is one job of several.
        resumed: continue in the folder of a run that was stopped.
        overwrite: if there is an earlier run in ``path``, work beside it and take its place only when all went well.
        hide: removes from the text of an error what must not be recorded.

    Attributes:
        home: the folder, as it was given.
        path: where to write now: ``home``, or ``home`` with ``.new`` behind, beside a run that is to be replaced.
        config: the configuration as ``config.yaml`` has it, in which environment variables are left open.

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
        self.command = command
        self.overrides = list(overrides)
        self.part_of_sweep = part_of_sweep
        self.resumed = resumed
        self.config: dict[str, Any] = {}  # Any: what a YAML can hold
        self._hide = hide
        self._place = RunPlace(Path(path), overwrite and not resumed and Path(path, "status.json").is_file())
        self._status = RunStatus(self.path, self.overrides)
        self._log: logging.Handler | None = None
        self._room = SpareRoom()  # for how it ended
        self._asked = False  # whether it is known what is to run
        self._before: dict[str, Any] = {}  # the status of the run that is resumed; Any: what JSON can hold

    @property
    def home(self) -> Path:
        """See the class."""
        return self._place.home

    @property
    def path(self) -> Path:
        """See the class."""
        return self._place.path

    def __enter__(self) -> RunFolder:
        log = logging.FileHandler(self.path / "log.txt", delay=True, encoding="utf-8")
        log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        with contextlib.ExitStack() as undo:
            undo.callback(self._place.release)
            self._begin()
            # The status says running: a Ctrl-C between here and the body of the with is not written down, so be short.
            undo.pop_all()
        logging.getLogger().addHandler(log)
        self._log = log
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
            self._place.release()

    def write_config(
        self, config: Mapping[str, Any], seed: int | None, files: Mapping[str, GivenFile] = MappingProxyType({})
    ) -> None:
        """Record what is about to run, and which files it is given: ``config.yaml`` and ``manifest.json``."""
        from omegaconf import OmegaConf

        self._asked = True
        self.config = dict(config)
        if self.resumed:  # the configuration is what it was
            note_resumption(self.path, self.command, self._status.started, files)
            return
        write_text(self.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(self.config)))
        write_manifest(self.path, self.command, self.overrides, seed, self._status.started, files)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Record the numbers that the run gave, as ``metrics.json``."""
        self._room.give_back()
        write_json(self.path / "metrics.json", metrics)

    def _begin(self) -> None:
        try:
            self._place.begin()
            if self.resumed:
                self._require_resumable()
            else:
                self._require_empty()
            self._room.take(self.path)
            self._status.write("running")
        except StoreError:
            raise
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StoreError(
                f"{self.path}: cannot be written, {reason}. Choose another place: hydra.run.dir=FOLDER"
            ) from error
        except KeyboardInterrupt as error:  # __exit__ will not be called to write the status
            if self._place.is_held and self._status.read().get("state") == "running":
                self._status.write("interrupted", str(error) or "interrupted")
            raise

    def _require_empty(self) -> None:
        if not any(self.path.iterdir()):
            return
        if self._place.is_beside:
            raise ConfigError(
                f"{self.path}: is left over from an earlier attempt. Remove it: rm -r {shell_word(str(self.path))}"
            )
        cure = " To replace it, add overwrite=true." if (self.path / "status.json").is_file() else ""
        raise ConfigError(f"{self.path}: found files of an earlier run, expected an empty or new folder.{cure}")

    def _require_resumable(self) -> None:
        self._before = self._status.read()
        self._status.keep_overrides(self._before)
        state = self._before.get("state")
        if state is None:
            raise ConfigError(f"resume: {self.path} is not a run folder. Expected one of outputs/rollout/...")
        if state == "finished":
            raise ConfigError(f"resume: {self.path} is finished, so there is nothing to resume.")
        if link := _link_in(self.path):
            raise ConfigError(
                f"resume: {link} is a link, so data would be written elsewhere. A run folder must not contain "
                "links: replace it with its target, or remove it."
            )

    def _end(self, error: BaseException | None) -> None:
        self._room.give_back()
        try:
            self._write_end(error)
        except StoreError:  # it says all there is to say
            raise
        except OSError as trouble:
            gone = "" if self.path.is_dir() else f"{self.path}: was moved or removed while the run wrote to it"
            if gone and (error is None or isinstance(error, OSError)):
                raise StoreError(gone) from trouble
            if error is None:
                raise
            error.add_note(gone or f"{self.path / 'status.json'}: cannot be written, {trouble.strerror or trouble}")

    def _write_end(self, error: BaseException | None) -> None:
        if error is None:
            self._status.write("finished")
            self._place.settle()
        elif self._is_empty_after(error) and not self.part_of_sweep:
            self._vanish()
        elif isinstance(error, KeyboardInterrupt):
            self._status.write("interrupted", told(error) or "interrupted")
        else:
            self._status.write("failed", self._hide(told(error)))

    def _is_empty_after(self, error: BaseException) -> bool:
        """Whether there is nothing to keep: it was not yet known what to run, or what was typed is a mistake."""
        if not self._asked:
            return True
        untouched = self.resumed or {path.name for path in self.path.iterdir()} <= _OWN
        return isinstance(error, ConfigError) and untouched

    def _vanish(self) -> None:
        if self.resumed:
            self._status.restore(self._before)
            return
        for name in _OWN:
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # stop at the first that is not empty
            self.path.rmdir()
            for folder in self.path.parents:
                if folder.is_relative_to(Path.cwd()) and folder != Path.cwd():
                    folder.rmdir()


def _link_in(folder: Path) -> Path | None:
    """A symbolic link somewhere below ``folder``."""
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (found := Path(path, name)).is_symlink():
                return found
    return None

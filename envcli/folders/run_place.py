"""Where a run writes: into its folder, or beside an earlier run that it is to replace."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from envcli.errors import ConfigError, StoreError
from envcli.folders.folder_lock import FolderLock

__all__ = ["RunPlace"]


class RunPlace:
    """A folder for one process alone, from ``begin`` to ``release``.

    Args:
        home: the folder of the run.
        replaces: whether there is an earlier run in ``home``. The new one works in ``<home>.new`` until ``settle``,
            which sets the earlier one aside as ``<home>.old`` and removes it.

    Attributes:
        path: where the run writes now; ``home`` in the end.
    """

    def __init__(self, home: Path, replaces: bool) -> None:
        if not home.absolute().name:
            raise ConfigError(f"{home} is no folder for a run. Choose another: hydra.run.dir=FOLDER")
        self.home = home
        self.path = home.with_name(f"{home.name}.new") if replaces else home
        self._aside = home.with_name(f"{home.name}.old")
        self._locks: list[FolderLock] = []

    @property
    def is_beside(self) -> bool:
        """Whether the run works beside the one that it replaces."""
        return self.path != self.home

    @property
    def is_held(self) -> bool:
        """Whether the folder is this process's alone."""
        return bool(self._locks)

    def begin(self) -> None:
        """Make the folder and lock it.

        Raises:
            ConfigError: something is in the way of setting the earlier run aside.
            StoreError: another process writes there.
            OSError: it cannot be made.
        """
        if self.is_beside and self._aside.exists():  # report it now, not after the run
            raise ConfigError(f"{self._aside}: is needed to set the earlier run aside. Remove it.")
        self.path.mkdir(parents=True, exist_ok=True)
        for folder in dict.fromkeys((self.path, self.home)):
            self._locks.append(FolderLock(folder))

    def settle(self) -> None:
        """Put the new run where the earlier one was, and remove that.

        Raises:
            StoreError: it cannot be done; says where both runs are.
        """
        if not self.is_beside:
            return
        try:
            os.rename(self.home, self._aside)
            os.rename(self.path, self.home)
            shutil.rmtree(self._aside)
        except OSError as error:
            new, old = self.path, self._aside
            raise StoreError(
                f"{self.home}: cannot be replaced ({error.strerror}). The new run is in "
                f"{new if new.exists() else self.home}, the old one in {old if old.exists() else self.home}"
            ) from None
        self.path = self.home

    def release(self) -> None:
        """Let other processes write there. Safe to call twice."""
        while self._locks:
            self._locks.pop().release()

"""A folder in which something is written before it is moved to its place."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from envcli.errors import StoreError
from envcli.folders.folder_lock import FolderLock

__all__ = ["PartFolder"]


class PartFolder:
    """``.<name>.part`` beside ``path``, in which one process at a time writes what will be ``path``.

    What is at ``path`` is set aside until the new one is there: a failure leaves the old one, and nothing of the new
    one. What a killed process left in such a folder is removed by the next one.

    Args:
        path: a file or a folder. Missing folders above it are made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.with_name(f".{path.name}.part")
        self.new = self.folder / path.name
        """What to write: a file, or a folder."""
        self._old = self.folder / ".old"
        self._lock: FolderLock | None = None
        self._made = [folder for folder in path.parents if not folder.exists()]

    def begin(self) -> None:
        """Make the folder, for this process alone.

        Raises:
            StoreError: another process is writing there.
            OSError: it cannot be made.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while self._lock is None:
            if os.path.lexists(self.folder) and (self.folder.is_symlink() or not self.folder.is_dir()):
                self.folder.unlink()  # a link would lead elsewhere; older versions of envcli wrote a file
            self.folder.mkdir(exist_ok=True)
            try:
                lock = FolderLock(self.folder)
            except StoreError:
                cure = "Wait until it ends, or end it"
                raise StoreError(f"{self.path}: another process is writing here. {cure}") from None
            except FileNotFoundError:  # it has just ended
                continue
            if lock.is_of(self.folder):
                self._lock = lock
            else:
                lock.release()
        self._sweep()

    def take_place(self) -> None:
        """Move what was written to ``path``; what was there is removed."""
        if self.path.is_dir():
            os.rename(self.path, self._old)
        os.replace(self.new, self.path)

    def clear(self) -> None:
        """Remove everything but ``path``. Safe to call twice, and before :meth:`begin`."""
        if self._lock is not None:
            self._sweep()
            with contextlib.suppress(OSError):  # another program put something into it
                self.folder.rmdir()
            self._lock.release()
            self._lock = None
        with contextlib.suppress(OSError):  # stop at the first that is not empty
            for folder in self._made:
                folder.rmdir()

    def _sweep(self) -> None:
        if os.path.lexists(self._old) and not os.path.lexists(self.path):
            os.rename(self._old, self.path)
        for path in (self.new, self._old):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

"""One multirun at a time in a folder: two would take each other's jobs for their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envcli.errors import StoreError
from envcli.folders.folder_lock import FolderLock

__all__ = ["hold", "let_go_after"]

_NAME = ".lock"
_held: dict[Path, FolderLock] = {}


def hold(folder: Path) -> None:
    """Have ``folder``, which is made if it is not there, for the multirun of this process alone. Safe to call twice.

    Raises:
        StoreError: another process runs one there.
    """
    folder = folder.absolute()
    if folder in _held:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _NAME).touch()
    try:
        _held[folder] = FolderLock(folder / _NAME)
    except StoreError:
        raise StoreError(f"{folder}: a sweep is running there already. Wait until it ends, or end it") from None


@contextmanager
def let_go_after() -> Iterator[None]:
    """After this, other processes may have what was held inside."""
    try:
        yield
    finally:
        while _held:
            _held.popitem()[1].release()

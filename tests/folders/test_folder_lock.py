from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from envcli.errors import StoreError
from envcli.folders.folder_lock import FolderLock


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    assert FolderLock.held(tmp_path)
    with pytest.raises(StoreError, match="another process is writing here"):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    assert not FolderLock.held(tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_goes_with_the_process_that_holds_it(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        FolderLock(tmp_path)
        os._exit(0)
    os.waitpid(child, 0)
    assert not FolderLock.held(tmp_path)


def test_who_only_looks_holds_nobody_off(tmp_path: Path) -> None:
    look = FolderLock(tmp_path)  # for a moment
    threading.Timer(0.02, look.release).start()
    lock = FolderLock(tmp_path)
    assert FolderLock.held(tmp_path)
    lock.release()

"""Room on a disk for what is still to be written when it is full."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envcli.folders.spare_room import SpareRoom


def kept(folder: Path) -> list[int]:
    """The bytes of each file in ``folder`` that has no name any longer, and that this process holds."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            held, status = os.readlink(descriptor), descriptor.stat()
        except FileNotFoundError:  # the one by which they are listed
            continue
        if held.startswith(f"{folder}/"):
            found.append(status.st_blocks * 512)
    return found


def test_it_is_there_until_it_is_given_back(tmp_path: Path) -> None:
    room = SpareRoom()
    room.give_back()
    room.take(tmp_path)
    assert [size >= SpareRoom.BYTES for size in kept(tmp_path)] == [True]
    assert not list(tmp_path.iterdir())
    room.give_back()
    room.give_back()
    assert kept(tmp_path) == []


def test_it_is_given_back_by_whoever_forgets_it(tmp_path: Path) -> None:
    room = SpareRoom()
    room.take(tmp_path)
    del room
    assert kept(tmp_path) == []


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        SpareRoom().take(tmp_path)
    assert kept(tmp_path) == []

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envcli.errors import StoreError
from envcli.folders.part_folder import PartFolder


def begun(path: Path, text: str = "new") -> PartFolder:
    part = PartFolder(path)
    part.begin()
    part.new.write_text(text)
    return part


def test_what_is_written_takes_its_place_and_nothing_else_is_left(tmp_path: Path) -> None:
    part = begun(tmp_path / "deep" / "a")
    assert not (tmp_path / "deep" / "a").exists()
    part.take_place()
    part.clear()
    part.clear()
    assert [(path.name, path.read_text()) for path in (tmp_path / "deep").iterdir()] == [("a", "new")]


def test_what_is_not_finished_leaves_the_old_one_and_no_folders(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    begun(tmp_path / "a").clear()
    begun(tmp_path / "deep" / "b").clear()
    PartFolder(tmp_path / "deep" / "c").clear()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    part = begun(tmp_path / "a")
    with pytest.raises(StoreError, match=r"a: another process is writing here"):
        PartFolder(tmp_path / "a").begin()
    assert part.new.read_text() == "new"
    part.clear()
    begun(tmp_path / "a").clear()


def test_what_a_killed_one_left_is_cleared_but_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / ".a.part" / "a").mkdir(parents=True)
    (tmp_path / ".a.part" / "theirs").write_text("")
    part = PartFolder(tmp_path / "a")
    part.begin()
    assert not part.new.exists()
    part.clear()
    assert [path.name for path in (tmp_path / ".a.part").iterdir()] == ["theirs"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("")
    part = PartFolder(tmp_path / "a")
    part.begin()
    part.new.mkdir()
    (part.new / "new").write_text("")
    part.take_place()
    part.clear()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["a", "a/new"]


def test_a_folder_that_cannot_be_replaced_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("")
    part = PartFolder(tmp_path / "a")
    part.begin()
    part.new.mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        part.take_place()
    part.clear()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["a", "a/old"]


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a").write_text("theirs")
    for target in ("theirs", "theirs/a", "nowhere"):
        (tmp_path / ".a.part").symlink_to(tmp_path / target)
        begun(tmp_path / "a").clear()
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]
    assert (tmp_path / "theirs" / "a").read_text() == "theirs"

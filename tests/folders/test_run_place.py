from __future__ import annotations

from pathlib import Path

import pytest

from envcli.errors import ConfigError, StoreError
from envcli.folders.run_place import RunPlace


def test_a_new_run_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    home = tmp_path / "run"
    home.mkdir()
    (home / "old").touch()
    place = RunPlace(home, replaces=True)
    place.begin()
    assert (place.path, place.is_beside, place.is_held) == (tmp_path / "run.new", True, True)
    (place.path / "new").touch()
    place.settle()
    place.release()
    assert (place.path, place.is_beside, place.is_held) == (home, False, False)
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "new"]


def test_both_folders_are_held(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    place = RunPlace(tmp_path / "run", replaces=True)
    place.begin()
    for folder in (tmp_path / "run", tmp_path / "run.new"):
        with pytest.raises(StoreError, match="another process is writing here"):
            RunPlace(folder, replaces=False).begin()
    place.release()


def test_where_it_cannot_be_replaced_both_are_told(tmp_path: Path) -> None:
    home = tmp_path / "run"
    home.mkdir()
    place = RunPlace(home, replaces=True)
    place.begin()
    (tmp_path / "run.old").touch()  # in the way since then
    with pytest.raises(StoreError, match=r"run: cannot be replaced .* is in .*run\.new, the old one in .*run"):
        place.settle()
    place.release()


def test_the_root_of_the_disk_is_no_place() -> None:
    with pytest.raises(ConfigError, match=r"^/ is no folder for a run\. Choose another: hydra\.run\.dir=FOLDER"):
        RunPlace(Path("/"), replaces=False)

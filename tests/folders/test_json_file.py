from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from envcli.errors import StoreError
from envcli.folders.json_file import read_json, write_json
from envcli.folders.saved_config import saved_config


def test_json_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match=r"disk full"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path], "and nothing is left of the new one"


def test_broken_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(StoreError, match=r"a.json: cannot be read"):
        read_json(tmp_path / "a.json")
    assert read_json(tmp_path / "none.json") == {}


@pytest.mark.parametrize("read", [lambda folder: read_json(folder / "config.yaml"), saved_config])
def test_nobody_waits_for_a_pipe(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(StoreError, match=r"config.yaml: cannot be read, it is no file\.$"):
        read(tmp_path)

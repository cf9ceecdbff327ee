from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from envcli.errors import StoreError
from envcli.shards.entry import Entry, entries_of
from envcli.shards.manifest import Manifest, Shard, checksum

ENTRIES = (Entry(("next", "a/b"), "float32", (2, 3)), Entry(("done",), "bool", (2, 1)))
MANIFEST = Manifest((2,), ENTRIES, (Shard("000000", 4, 104, ("0" * 8, "1" * 8)),), 10, 4, finished=False)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    MANIFEST.write(tmp_path)
    assert Manifest.read(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["shards.json"]
    assert (MANIFEST.steps, MANIFEST.row_bytes, MANIFEST.bytes, MANIFEST.one_piece) == (4, 26, 104, False)


def test_files_are_spelt_as_tensordict_spells_them() -> None:
    assert ENTRIES[0].file == "next/a%2Fb.memmap"
    assert entries_of({("x",): torch.zeros(7, 2, dtype=torch.bfloat16)}) == (Entry(("x",), "bfloat16", (2,)),)


def test_the_old_one_stays_where_the_new_one_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MANIFEST.write(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match=r"shards\.json: cannot be written \(No space left on device\)"):
        MANIFEST.with_shards(finished=True).write(tmp_path)
    assert Manifest.read(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["shards.json"]


def test_what_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        Manifest.read(tmp_path)
    (tmp_path / "shards.json").write_text("{}")
    with pytest.raises(StoreError, match="found something other than"):
        Manifest.read(tmp_path)
    for text in ("{", "[" * 100_000):
        (tmp_path / "shards.json").write_text(text)
        with pytest.raises(StoreError, match="not valid JSON"):
            Manifest.read(tmp_path)


TEAM = (Entry(("a", "x"), "float32", (2, 3, 4)), Entry(("a", "b", "y"), "float32", (2, 3)))


def test_groups_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = Manifest((2,), TEAM, (), 10, 4, finished=True, groups=((("a",), (3,)), (("a", "b"), (3,))))
    found.write(tmp_path)
    assert Manifest.read(tmp_path) == found


@pytest.mark.parametrize("group", [(("a",), (4,)), (("a", "x"), (3,)), (("c",), (3,)), (("a",), (3, 4, 5)), ((), (3,))])
def test_groups_that_cannot_be_are_refused(tmp_path: Path, group: Any) -> None:
    Manifest((2,), TEAM, (), 10, 4, finished=True, groups=(group,)).write(tmp_path)
    with pytest.raises(StoreError, match="has impossible contents"):
        Manifest.read(tmp_path)


def test_checksums_are_of_the_bytes() -> None:
    assert checksum(torch.tensor(list(b"123456789"), dtype=torch.uint8)) == "cbf43926"  # the check value of CRC-32
    assert checksum(torch.zeros(0, 3)) == "00000000"
    assert checksum(torch.ones(3, dtype=torch.bfloat16)) != checksum(torch.zeros(3, dtype=torch.bfloat16))

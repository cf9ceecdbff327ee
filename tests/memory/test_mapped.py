"""A tensor in a file that is mapped, as another process is told of it, and finds it."""

from __future__ import annotations

import gc
import mmap
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from envcli.memory import mapped as mapped_files
from envcli.memory.mapped import Known, Mapped, mapped, open_all, open_mapped, remember
from envcli.memory.shared_memory import SharedMemory

SHAPE = (6, 4, 3)
DTYPES = [torch.float32, torch.float64, torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.complex64]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_another_mapping_shows_the_same_rows(dtype: torch.dtype) -> None:
    place = SharedMemory()
    place(("first",), (3,), torch.uint8)  # what follows does not begin at the file's start
    rows = place(("x",), SHAPE, dtype)
    assert (rows.dtype, rows.shape) == (dtype, SHAPE)
    assert not rows.any()
    for view in (rows, rows[:, 1], rows[2:5, 1:3], rows[1:2].as_strided((9, 4, 3), (0, 3, 1))):
        source = mapped(view)
        assert source is not None
        other = open_mapped(source)
        assert (other.shape, other.stride(), other.dtype) == (view.shape, view.stride(), dtype)
        view[0] = 1
        assert (other[0] == 1).all()
        other[0] = 0
        assert not view[0].any()


def test_another_process_writes_into_the_same_rows() -> None:
    place = SharedMemory()
    rows = place(("x",), SHAPE, torch.float32)
    source = mapped(rows[:, 2])
    assert source is not None
    child = os.fork()
    if not child:
        open_mapped(source)[3] = 7
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (rows[3, 2] == 7).all()
    assert rows.sum() == 21


def test_memory_of_this_process_alone_is_mapped_from_nowhere() -> None:
    assert mapped(torch.zeros(3)) is None


def test_nothing_is_remembered_of_rows_that_are_gone() -> None:
    gc.collect()
    before = dict(mapped_files._FILES)
    rows = SharedMemory()(("x",), (2,), torch.float32)
    assert len(mapped_files._FILES) == len(before) + 1
    del rows
    gc.collect()
    assert before == mapped_files._FILES


def test_rows_of_a_file_are_found_again(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(bytes(64))
    rows = np.memmap(file, dtype=np.float32, mode="r+", shape=(4, 4))
    tensor = torch.from_numpy(rows)
    remember(rows, file)
    found = mapped(tensor[:, 1])
    assert found is not None
    assert found == Mapped(str(file), 4, (4,), (4,), "float32", found.serial)
    remember(again := np.memmap(file, dtype=np.float32, mode="r+", shape=(4, 4)), file)
    other = mapped(torch.from_numpy(again)[:, 1])
    assert other is not None
    assert other._replace(serial=found.serial) == found
    assert other != found, "another mapping, perhaps of another file by the same name"


def test_files_of_the_last_two_times_stay_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: Known = [{}, {}]

    def address(rows: torch.Tensor) -> int:
        source = mapped(rows)
        assert source is not None
        return open_all({"rows": source}, known)["rows"].data_ptr()

    places = [SharedMemory() for _ in range(3)]
    first, second, third = (place(("x",), (3,), torch.uint8) for place in places)
    where = address(first)
    address(second)
    assert address(first) == where
    address(third)
    address(second)
    assert len(known[0]) == len(known[1]) == 1
    more = places[1](("z",), (2 * mmap.PAGESIZE,), torch.uint8)
    more[-1] = 9
    grown = mapped(more)
    assert grown is not None
    assert open_all({"z": grown}, known)["z"][-1] == 9, "the file has grown"
    monkeypatch.setattr(mapped_files, "KEPT", 1)
    address(first)
    assert not known[0], "too large"
    file = tmp_path / "rows"
    file.write_bytes(bytes(64))
    rows = np.memmap(file, dtype=np.uint8, mode="r+", shape=(64,))
    remember(rows, file)
    monkeypatch.undo()
    address(torch.from_numpy(rows))
    assert not known[0], "whoever deletes a file wants its room on the disk"


def test_an_empty_entry_needs_no_memory() -> None:
    rows = SharedMemory()(("x",), (5, 0), torch.float32)
    assert rows.shape == (5, 0)
    source = mapped(rows)
    assert source is not None
    assert open_mapped(source).shape == (5, 0)

"""Memory that several processes map."""

from __future__ import annotations

import gc
import mmap
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from envcli.errors import EnvError
from envcli.memory import shared_memory
from envcli.memory.buffer import RolloutBuffer
from envcli.memory.shared_memory import Known, Mapped, SharedMemory, crowds, mapped, open_all, open_mapped, remember

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


def test_rows_outlive_their_place_and_take_no_descriptor_with_them() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    kept = []
    for i in range(50):
        buffer = RolloutBuffer.allocate({("x",): (torch.Size([2]), torch.float32)}, 3, torch.Size([]), SharedMemory())
        buffer["x",][:] = i
        kept.append(buffer["x",])
    del buffer
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert all((rows == i).all() for i, rows in enumerate(kept))


def test_nothing_is_remembered_of_rows_that_are_gone() -> None:
    gc.collect()
    before = dict(shared_memory._FILES)
    rows = SharedMemory()(("x",), (2,), torch.float32)
    assert len(shared_memory._FILES) == len(before) + 1
    del rows
    gc.collect()
    assert before == shared_memory._FILES


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


def test_memory_that_nobody_looks_at_can_be_had_again() -> None:
    place = SharedMemory()
    assert place.is_free()
    first, second = place(("x",), SHAPE, torch.float32), place(("y",), (5000,), torch.uint8)
    described = mapped(first), mapped(second)
    view = second[3:]
    del first, second
    assert not place.is_free(), "somebody looks at a part of it"
    del view
    gc.collect()
    assert place.is_free()
    place.again()
    assert place.starts_with(6 * 4 * 3 * 4)
    first, second = place(("x",), SHAPE, torch.float32), place(("y",), (5000,), torch.uint8)
    assert (mapped(first), mapped(second)) == described


def test_what_is_of_another_size_is_laid_out_anew() -> None:
    place = SharedMemory()
    for sizes in ((100, 5000, 100), (100, 9000, 50), (7,)):
        place.again()
        rows = [place(("x",), (size,), torch.uint8) for size in sizes]
        for number, row in enumerate(rows):
            row.fill_(number)
        others = [open_mapped(source) for row in rows if (source := mapped(row)) is not None]
        assert [(len(other), set(other.tolist())) for other in others] == [(n, {i}) for i, n in enumerate(sizes)]
        del rows, row, others
        gc.collect()
    assert place.nbytes == mmap.PAGESIZE


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
    monkeypatch.setattr(shared_memory, "KEPT", 1)
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


def test_too_little_memory_says_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "_free_memory", lambda: 10**8)
    place = SharedMemory()
    place(("small",), (10**7,), torch.uint8)
    with pytest.raises(
        EnvError, match=r"rows \[100, 950000\] of next\.pixels .* need 95,000,000 bytes .* 100,000,000 free"
    ):
        place(("next", "pixels"), (100, 950_000), torch.uint8)


def test_the_free_memory_is_known() -> None:
    assert (shared_memory._free_memory() or 0) > 2**20


def test_what_a_container_keeps_of_files_is_free(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    about = "anon 900000\ninactive_file 2000000\nactive_file 1000000\n"
    for name, text in (("max", "4096000\n"), ("current", "4000000\n"), ("stat", about)):
        (tmp_path / f"memory.{name}").write_text(text)
    assert shared_memory._free_memory(tmp_path / "meminfo", tmp_path) == 3_096_000
    (tmp_path / "memory.max").write_text("max\n")
    assert shared_memory._free_memory(tmp_path / "meminfo", tmp_path) == 8000 * 1024
    assert shared_memory._free_memory(tmp_path / "none", tmp_path / "none") is None


def test_small_rows_crowd_where_there_are_many_already(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {("x",): SharedMemory()(("x",), (3,), torch.float32)}
    assert not crowds(rows)
    monkeypatch.setattr(shared_memory, "_MANY", 0)
    assert crowds(rows)
    assert not crowds({("x",): torch.zeros(3)})
    monkeypatch.setattr(shared_memory, "_SMALL", 11)
    assert not crowds(rows)

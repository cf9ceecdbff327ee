"""Memory that several processes map."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from envcli import shared_memory
from envcli.buffer import RolloutBuffer
from envcli.errors import EnvError
from envcli.shared_memory import Mapped, SharedMemory, mapped, open_mapped, remember

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
    assert mapped(tensor[:, 1]) == Mapped(str(file), 4, (4,), (4,), "float32")


def test_an_empty_entry_needs_no_memory() -> None:
    rows = SharedMemory()(("x",), (5, 0), torch.float32)
    assert rows.shape == (5, 0)


def test_too_little_memory_says_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "_free_memory", lambda: 10**8)
    place = SharedMemory()
    place(("small",), (10**7,), torch.uint8)
    with pytest.raises(EnvError, match=r"100 steps of next\.pixels .* need 95,000,000 bytes .* 100,000,000 free"):
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

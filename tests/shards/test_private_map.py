from __future__ import annotations

import io
import mmap
import os
import sys
from multiprocessing.reduction import ForkingPickler  # to which torch adds, for workers
from pathlib import Path

import pytest
import torch

from envcli.shards import private_map as module
from envcli.shards.private_map import private_map

ROWS = torch.arange(6, dtype=torch.int16).reshape(3, 2)


@pytest.fixture(params=[module._LARGE, 1], ids=["small", "large"])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "_LARGE", request.param)
    path = tmp_path / "rows"
    path.write_bytes(ROWS.numpy().tobytes() + b"behind")
    path.chmod(0o400)
    return path


def test_what_is_written_into_it_stays_in_memory(file: Path) -> None:
    before = file.read_bytes()
    one, two = (private_map(file, torch.int16, ROWS.shape) for _ in range(2))
    assert torch.equal(one, ROWS)
    one += 7
    assert torch.equal(one, ROWS + 7)
    assert torch.equal(two, ROWS)
    assert file.read_bytes() == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.complex64, torch.float8_e5m2])
def test_every_dtype(file: Path, dtype: torch.dtype) -> None:
    count = 12 // dtype.itemsize
    found = private_map(file, dtype, torch.Size([count]))
    assert (found.dtype, found.shape) == (dtype, (count,))
    assert bytes(found.view(torch.uint8).tolist()) == file.read_bytes()[: count * dtype.itemsize]


def test_other_processes_are_sent_what_it_holds(file: Path) -> None:
    mapped = private_map(file, torch.int16, ROWS.shape)
    mapped[0] = 9
    assert torch.equal(ForkingPickler.loads(ForkingPickler.dumps(mapped)), mapped)
    stream = io.BytesIO()
    torch.save(mapped, stream)
    stream.seek(0)
    assert torch.equal(torch.load(stream), mapped)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts what it promises")
def test_a_file_larger_than_memory_is_mapped(tmp_path: Path) -> None:
    size = 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + mmap.PAGESIZE
    with open(tmp_path / "huge", "wb") as stream:
        stream.truncate(size)  # a hole: it takes no room
    mapped = private_map(tmp_path / "huge", torch.uint8, torch.Size([size]))
    mapped[-1] = 3
    assert (mapped[-1], mapped[0]) == (3, 0)

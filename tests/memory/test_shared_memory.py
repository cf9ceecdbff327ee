"""Memory that several processes map."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
import torch

from envcli.errors import EnvError
from envcli.memory import shared_memory
from envcli.memory.buffer import RolloutBuffer
from envcli.memory.mapped import mapped, open_mapped
from envcli.memory.shared_memory import SharedMemory

SHAPE = (6, 4, 3)


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
    assert place.nbytes == 7


def mappings() -> int:
    """How many of shared memory this process has."""
    return Path("/proc/self/maps").read_text(encoding="ascii").count("memfd:envcli")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's account of mappings")
def test_entries_share_a_mapping() -> None:
    gc.collect()
    before, place = mappings(), SharedMemory()
    small = [place(("x",), (size,), torch.uint8) for size in (1, 9000, 100, 2**23)]
    assert mappings() == before + 1
    assert all(row.data_ptr() % 64 == 0 for row in small)
    large = [place(("x",), (size,), torch.uint8) for size in (2**25, 5)]
    assert mappings() == before + 3, "one for what does not fit, and one for what follows"
    for number, row in enumerate((*small, *large)):
        row.fill_(number)
    assert [row.unique().tolist() for row in (*small, *large)] == [[0], [1], [2], [3], [4], [5]]
    del small, row
    gc.collect()
    assert mappings() == before + 3, "the memory can be had again"
    del place, large
    gc.collect()
    assert mappings() == before


def test_what_is_laid_out_anew_begins_at_zero() -> None:
    place = SharedMemory()
    kept, other = place(("x",), (100,), torch.uint8), place(("y",), (5000,), torch.uint8)
    other.fill_(9)
    kept.fill_(9)
    del kept, other
    place.again()
    kept, other = place(("x",), (100,), torch.uint8), place(("y",), (3000,), torch.uint8)
    assert kept.all()
    assert not other.any()


def test_too_little_memory_says_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "free_memory", lambda: 10**8)
    place = SharedMemory()
    place(("small",), (10**7,), torch.uint8)
    with pytest.raises(
        EnvError, match=r"rows \[100, 950000\] of next\.pixels .* need 95,000,000 bytes .* 100,000,000 free"
    ):
        place(("next", "pixels"), (100, 950_000), torch.uint8)

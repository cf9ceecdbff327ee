"""SpareShared: what a rollout of a batch in several processes has let go of, for the next one."""

from __future__ import annotations

import os

import pytest
import torch

from envcli.memory import spare_shared
from envcli.memory.mapped import Mapped, mapped
from envcli.memory.spare_shared import SpareShared

LARGE, SMALL = (("pixels",), (2**21,), torch.uint8), (("observation",), (100,), torch.uint8)


def described(rows: list[torch.Tensor]) -> list[Mapped | None]:
    return [mapped(row) for row in rows]


def test_shared_memory_is_used_again_when_nobody_looks_at_it() -> None:
    spare = SpareShared()
    place = spare.place({LARGE[0], SMALL[0]})
    made = [place(*LARGE), place(*SMALL)]
    where, kept = described(made), made[1][5:]
    del made, place
    for _ in range(2):
        place = spare.place({LARGE[0], SMALL[0]})
        others = described([place(*LARGE), place(*SMALL)])
        assert others != where, "somebody looks at a part of it"
        del place
    first = spare.place({LARGE[0], SMALL[0]})
    made = [first(*LARGE), first(*SMALL)]
    del kept
    second = spare.place({LARGE[0], SMALL[0]})
    assert described(made) == others, "the last that was used"
    assert described([second(*LARGE), second(*SMALL)]) == where, "and then any other"


def test_only_large_rows_that_are_written_before_they_are_read_hold_anything() -> None:
    spare = SpareShared()
    asked = [LARGE, SMALL, (("done",), (2**21,), torch.bool), (("added",), (2**21,), torch.uint8)]
    paths = {path for path, _, _ in asked[:3]}
    for time in range(2):
        place = spare.place(paths)
        made = [place(*one) for one in asked]
        assert [bool(rows.any()) for rows in made] == [time > 0, False, False, False]
        for rows in made:
            rows.fill_(1)
        del made, rows, place


def test_a_few_shared_memories_are_kept_and_no_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    spare = SpareShared()
    before = len(os.listdir("/proc/self/fd"))
    held = [spare.place(set())(("x",), (i + 1,), torch.uint8) for i in range(50)]
    assert len(os.listdir("/proc/self/fd")) - before <= 6, "a rollout that somebody keeps needs no descriptor"
    assert [len(rows) for rows in held] == list(range(1, 51))
    monkeypatch.setattr(spare_shared, "KEPT", 2**20)
    spare = SpareShared()
    place = spare.place({LARGE[0]})
    where = mapped(place(*LARGE))
    del place
    assert mapped(spare.place({LARGE[0]})(*LARGE)) != where


def test_large_shared_memory_that_does_not_fit_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_shared, "_SMALL", 2**20)
    spare = SpareShared()
    for path, (size,), dtype in (LARGE, SMALL, (("pixels",), (2**22,), torch.uint8)):
        place = spare.place({path})
        held = place(path, (size,), dtype)
    assert [memory.nbytes for memory in spare._lent] == [100, 2**22]
    place = spare.place({("pixels",)})
    kept = place(("pixels",), (2**23,), torch.uint8)
    assert [memory.nbytes for memory in spare._lent] == [100, 2**22, 2**23], "somebody looks at it"
    del held, kept, place


def test_what_a_forked_process_sees_is_not_used_again() -> None:
    spare = SpareShared()
    made = spare.place(set())(*SMALL)
    made.fill_(7)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.read(read, 1)
        os._exit(int((made == 7).all()))
    del made
    spare.place(set())(*SMALL).fill_(8)
    os.write(write, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    os.close(read)
    os.close(write)


def test_of_large_shared_memory_the_last_alone_is_kept() -> None:
    spare = SpareShared()
    for mebibytes in (20, 21, 22, 23):
        spare.place(set())(("pixels",), (mebibytes * 2**20,), torch.uint8)
    assert sum(memory.nbytes for memory in spare._lent) == 23 * 2**20

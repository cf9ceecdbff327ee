"""SpareMemory: what a rollout has let go of, for the next one."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tensordict import TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import EnvError
from envcli.memory import spare_memory
from envcli.memory.shared_memory import Mapped, mapped
from envcli.memory.spare_memory import SpareMemory, SpareShared
from envcli.transforms.step_counter import StepCounter
from tests.transforms.image_toy import FramesEnv

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_FREE"), reason="needs a kernel that takes back unused pages")

PATH = ("pixels",)
SHAPE = (1000, 2000)


@pytest.fixture(autouse=True)
def _nothing_spare() -> Iterator[None]:
    spare_memory._spare.clear()
    yield
    spare_memory._spare.clear()


def rows(shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return SpareMemory({PATH})(PATH, shape, dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.int64, torch.complex64])
def test_it_is_new_and_zero_when_there_is_none(dtype: torch.dtype) -> None:
    made = rows(dtype=dtype)
    assert (made.shape, made.dtype, bool(made.any())) == (SHAPE, dtype, False)
    made[-1] = 1


def test_what_nobody_looks_at_is_used_again() -> None:
    made = rows()
    address = made.data_ptr()
    del made
    assert rows((500, 1000), torch.float32).data_ptr() == address, "as many bytes"
    assert rows((999, 2000)).data_ptr() != address


@pytest.mark.parametrize(
    "view",
    [
        lambda made: made[3:5],
        lambda made: made.numpy()[7],
        lambda made: made.view(torch.int16).movedim(0, 1),
        lambda made: made.untyped_storage(),
        lambda made: memoryview(made.numpy()),
        lambda made: torch.from_dlpack(made[9]),
    ],
)
def test_what_somebody_looks_at_is_not(view: object) -> None:
    made = rows()
    address, kept = made.data_ptr(), view(made)  # type: ignore[operator]
    del made
    assert rows().data_ptr() != address
    del kept
    assert rows().data_ptr() == address


def test_flags_and_unknown_paths_begin_at_zero() -> None:
    place = SpareMemory({PATH})
    for path, dtype in ((PATH, torch.bool), (("added",), torch.uint8)):
        for _ in range(2):
            made = place(path, SHAPE, dtype)
            assert not made.any()
            made.fill_(1)
            del made


def test_a_few_blocks_are_kept_and_no_more() -> None:
    made = [rows((1000 + i, 2000)) for i in range(100)]
    made.clear()
    assert 0 < sum(map(len, spare_memory._spare.values())) <= 16


def test_only_what_is_written_is_paid_for() -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * mmap.PAGESIZE

    before = resident()
    made = rows((1_000_000, 1000))
    made[:100] = 1
    assert resident() - before < 50e6, "100 kB were written, in pages of at most 2 MB"


def test_too_much_says_how_much() -> None:
    with pytest.raises(EnvError, match=r"pixels need 1,000,000,000,000,000,000 bytes"):
        rows((10**9, 10**9))


def test_rollouts_in_old_memory_are_those_in_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_memory, "_LARGE", 1)

    def rollouts() -> list[TensorDictBase]:
        env, made = FramesEnv(), []
        for steps in (8, 8, 5, 8):
            torch.manual_seed(steps)
            made.append(env.rollout(steps, break_when_any_done=False).clone())
        return made

    new = rollouts()
    assert spare_memory._spare, "memory was let go of"
    for size, blocks in spare_memory._spare.items():
        for block in blocks:
            block[:] = b"\xaa" * size
    for old, again in zip(new, rollouts(), strict=True):
        assert (old == again).all()


def serial() -> Env:
    return SerialEnv(2, FramesEnv)


def transformed() -> Env:
    return TransformedEnv(FramesEnv(), StepCounter())


@pytest.mark.parametrize("make", [FramesEnv, serial, transformed])
def test_an_env_holds_nothing_of_a_rollout(make: Callable[[], Env], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_memory, "_LARGE", 1)
    env = make()
    made = env.rollout(4, break_when_any_done=False)
    addresses = {made.get(key).data_ptr() for key in ("pixels", ("next", "pixels"))}
    del made
    made = env.rollout(4, break_when_any_done=False)
    assert {made.get(key).data_ptr() for key in ("pixels", ("next", "pixels"))} == addresses


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
    monkeypatch.setattr(spare_memory, "KEPT", 2**20)
    spare = SpareShared()
    place = spare.place({LARGE[0]})
    where = mapped(place(*LARGE))
    del place
    assert mapped(spare.place({LARGE[0]})(*LARGE)) != where


def test_large_shared_memory_that_does_not_fit_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_memory, "_SMALL", 2**20)
    spare = SpareShared()
    for path, (size,), dtype in (LARGE, SMALL, (("pixels",), (2**22,), torch.uint8)):
        place = spare.place({path})
        held = place(path, (size,), dtype)
    assert [memory.nbytes for memory in spare._lent] == [4096, 2**22]
    place = spare.place({("pixels",)})
    kept = place(("pixels",), (2**23,), torch.uint8)
    assert [memory.nbytes for memory in spare._lent] == [4096, 2**22, 2**23], "somebody looks at it"
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

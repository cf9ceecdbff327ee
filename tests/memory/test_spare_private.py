"""SparePrivate: what a rollout has let go of, for the next one."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensordict import TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs import kept_rows
from envcli.envs.env import Env
from envcli.errors import EnvError
from envcli.memory import spare_memory
from envcli.memory.spare_private import SparePrivate
from envcli.rows import row_env
from envcli.transforms.step_counter import StepCounter
from tests.transforms.image_toy import FramesEnv

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_FREE"), reason="needs a kernel that takes back unused pages")

PATH = ("pixels",)
SHAPE = (1000, 2000)


class Rows:
    """Those of one memory."""

    def __init__(self) -> None:
        self.memory = SparePrivate()

    def __call__(self, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
        return self.memory.place({PATH})(PATH, shape, dtype)


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.int64, torch.complex64])
def test_it_is_new_and_zero_when_there_is_none(rows: Rows, dtype: torch.dtype) -> None:
    made = rows(dtype=dtype)
    assert (made.shape, made.dtype, bool(made.any())) == (SHAPE, dtype, False)
    made[-1] = 1


def test_what_nobody_looks_at_is_used_again(rows: Rows) -> None:
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
def test_what_somebody_looks_at_is_not(rows: Rows, view: object) -> None:
    made = rows()
    address, kept = made.data_ptr(), view(made)  # type: ignore[operator]
    del made
    assert rows().data_ptr() != address
    del kept
    assert rows().data_ptr() == address


def test_flags_and_unknown_paths_begin_at_zero() -> None:
    place = SparePrivate().place({PATH})
    for path, dtype in ((PATH, torch.bool), (("added",), torch.uint8)):
        for _ in range(2):
            made = place(path, SHAPE, dtype)
            assert not made.any()
            made.fill_(1)
            del made


def test_a_copy_of_a_place_has_nothing_spare(rows: Rows) -> None:
    rows().fill_(1)
    assert rows.memory._blocks
    place = pickle.loads(pickle.dumps(rows.memory.place({PATH})))
    assert not place(PATH, SHAPE, torch.uint8).any()


def test_a_few_blocks_are_kept_and_no_more(rows: Rows) -> None:
    made = [rows((1000 + i, 2000)) for i in range(100)]
    made.clear()
    assert 0 < len(rows.memory._blocks) <= 16


def test_what_was_let_go_of_last_is_kept(rows: Rows) -> None:
    made = [rows((1000 + i, 2000)) for i in range(15)]
    made.clear()
    pair = [rows(), rows()]
    addresses = {row.data_ptr() for row in pair}
    pair.clear()
    pair = [rows(), rows()]
    assert {row.data_ptr() for row in pair} == addresses


def test_only_what_is_written_is_paid_for(rows: Rows) -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * mmap.PAGESIZE

    before = resident()
    made = rows((1_000_000, 1000))
    made[:100] = 1
    assert resident() - before < 50e6, "100 kB were written, in pages of at most 2 MB"


def test_too_much_says_how_much(rows: Rows) -> None:
    with pytest.raises(EnvError, match=r"pixels need 1,000,000,000,000,000,000 bytes"):
        rows((10**9, 10**9))


def test_rollouts_in_old_memory_are_those_in_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_memory, "_LARGE", 1)
    monkeypatch.setattr(row_env, "_SPARE", spare := SparePrivate())

    def rollouts() -> list[TensorDictBase]:
        env, made = FramesEnv(), []
        for steps in (8, 8, 5, 8):
            torch.manual_seed(steps)
            made.append(env.rollout(steps, break_when_any_done=False).clone())
        return made

    new = rollouts()
    assert spare._blocks, "memory was let go of"
    for block in spare._blocks:
        block[:] = b"\xaa" * len(block)
    for old, again in zip(new, rollouts(), strict=True):
        assert (old == again).all()


def serial() -> Env:
    return SerialEnv(2, FramesEnv)


def transformed() -> Env:
    return TransformedEnv(FramesEnv(), StepCounter())


@pytest.mark.parametrize("make", [FramesEnv, serial, transformed])
def test_an_env_holds_nothing_of_a_rollout(make: Callable[[], Env], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_memory, "_LARGE", 1)
    monkeypatch.setattr(kept_rows, "_CHEAP", 0)
    monkeypatch.setattr(row_env, "_SPARE", SparePrivate())
    env = make()
    made = env.rollout(4, break_when_any_done=False)
    addresses = {made.get(key).data_ptr() for key in ("pixels", ("next", "pixels"))}
    del made
    made = env.rollout(4, break_when_any_done=False)
    assert {made.get(key).data_ptr() for key in ("pixels", ("next", "pixels"))} == addresses

"""RolloutBuffer: memory with a time axis."""

from __future__ import annotations

import pytest
import torch

from envcli.errors import EnvError
from envcli.memory.buffer import RolloutBuffer, in_memory
from envcli.testing.toys import CountingEnv

LAYOUT = {
    ("observation",): (torch.Size([2, 3]), torch.float32),
    ("agent", "count"): (torch.Size([2]), torch.int64),
    ("next", "observation"): (torch.Size([2, 3]), torch.float32),
    ("next", "done"): (torch.Size([2, 1]), torch.bool),
}


@pytest.fixture
def buffer() -> RolloutBuffer:
    return RolloutBuffer.allocate(LAYOUT, 5, torch.Size([2]))


def test_everything_is_there_and_zero(buffer: RolloutBuffer) -> None:
    assert set(buffer) == set(LAYOUT)
    for path, (shape, dtype) in LAYOUT.items():
        assert buffer[path].shape == (5, *shape)
        assert buffer[path].dtype == dtype
        assert not buffer[path].any()
    assert ("next",) not in buffer


def test_torch_and_numpy_see_the_same_memory(buffer: RolloutBuffer) -> None:
    buffer.array(("observation",))[3, 1] = 7
    assert buffer["observation",][3, 1].tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.float16, torch.bfloat16, torch.float64, torch.complex64]
)
def test_every_dtype(dtype: torch.dtype) -> None:
    made = in_memory(("x",), (4, 2), dtype)
    assert (made.dtype, made.shape, bool(made.any())) == (dtype, (4, 2), False)
    buffer = RolloutBuffer(4, torch.Size([]), {("x",): made})
    made[2] = 1
    assert bool((buffer.array(("x",)) != 0).any()), "the array must be of the same memory"


def test_flags_read_and_write_single_values() -> None:
    layout = {("done",): (torch.Size([1]), torch.bool), ("reward",): (torch.Size([]), torch.float64)}
    buffer = RolloutBuffer.allocate(layout, 4, torch.Size([]))
    buffer.flags(("done",))[2] = True
    buffer.flags(("reward",))[1] = 0.1
    assert buffer["done",].squeeze(-1).tolist() == [False, False, True, False]
    assert buffer["reward",].tolist() == [0, 0.1, 0, 0]


def test_a_rollout_is_a_view_of_it(buffer: RolloutBuffer) -> None:
    buffer.filled = 4
    data = buffer.tensordict()
    assert data.batch_size == (2, 4)
    assert data.names == [None, "time"]
    assert data["next", "done"].shape == (2, 4, 1)
    assert data["agent", "count"].shape == (2, 4)
    buffer["agent", "count"][1] = torch.tensor([5, 6])
    assert data["agent", "count"][:, 1].tolist() == [5, 6]
    assert buffer.tensordict(2).batch_size == (2, 2)


def test_rows_can_be_added(buffer: RolloutBuffer) -> None:
    rows = buffer.add(("log_prob",), torch.ones(2, 4, dtype=torch.float64))
    assert rows.shape == (5, 2, 4)
    assert rows.dtype == torch.float64
    assert not rows.any(), "rows that were made before the entry are zero"
    assert buffer["log_prob",] is rows


def test_what_is_not_rewritten_is_the_same_memory_further_in(buffer: RolloutBuffer) -> None:
    layout = {**LAYOUT, ("secret",): (torch.Size([2, 1]), torch.float32)}
    inner = buffer.behind(layout, rewritten={("observation",)})
    assert inner["next", "observation"] is buffer["next", "observation"]
    assert inner["agent", "count"] is buffer["agent", "count"]
    assert ("secret",) not in buffer
    for private in (("observation",), ("secret",)):
        assert inner[private].shape[0] == 5
        inner[private][1] = 3
        assert (inner[private][4] == 3).all(), "one row stands for every time"
    assert not buffer["observation",].any()


def test_compact_frees_what_was_not_used(buffer: RolloutBuffer) -> None:
    buffer["observation",][:2] = 1
    buffer.filled = 5
    assert buffer.compact() is buffer
    apart = buffer.compact(apart=True)
    assert torch.equal(apart["observation",], buffer["observation",])
    assert apart["observation",].data_ptr() != buffer["observation",].data_ptr()
    buffer.filled = 2
    kept = buffer.compact()
    assert (kept.steps, kept.filled) == (2, 2)
    assert (kept["observation",] == 1).all()
    assert kept["observation",].untyped_storage().nbytes() < buffer["observation",].untyped_storage().nbytes()


def test_the_rows_of_some_envs_are_the_same_memory(buffer: RolloutBuffer) -> None:
    buffer["observation",][:, 1] = 3
    one, some = buffer.of_envs(1), buffer.of_envs(slice(1, 2))
    assert (one.batch_size, some.batch_size) == (torch.Size([]), torch.Size([1]))
    assert torch.equal(one["observation",], buffer["observation",][:, 1])
    one["observation",][2] = 4
    assert (buffer["observation",][2, 1] == 4).all()
    assert (some["observation",][2] == 4).all()


def test_compact_leaves_one_env_alone_where_little_would_be_freed() -> None:
    buffer = RolloutBuffer.allocate({("x",): (torch.Size([2]), torch.float32)}, 5, torch.Size([]))
    buffer.filled = 3
    assert buffer.compact() is buffer
    buffer.filled = 2
    assert buffer.compact()["x",].untyped_storage().nbytes() == 16


def test_too_much_says_how_much() -> None:
    with pytest.raises(EnvError, match=r"next\.pixels need 4,000,000,000,000,000,000 bytes"):
        in_memory(("next", "pixels"), (10**9, 10**9), torch.float32)


def test_what_was_added_is_for_one_rollout(buffer: RolloutBuffer) -> None:
    first = buffer.add(("hidden",), torch.zeros(2))
    first.fill_(3)
    buffer.drop_added()
    assert set(buffer) == set(LAYOUT)
    again = buffer.add(("hidden",), torch.zeros(2))
    assert again.data_ptr() == first.data_ptr()
    assert not again.any()
    buffer.drop_added()
    assert buffer.add(("hidden",), torch.zeros(3)).shape == (5, 3)


def test_rows_that_torch_has_moved_are_found_where_they_are() -> None:
    env = CountingEnv(100)
    buffer = RolloutBuffer.allocate(env._row_layout(), 20, env.batch_size)
    first = env.rollout(20, out=buffer)
    first.share_memory_()
    again = env.rollout(20, out=buffer)
    assert again["next", "observation"].flatten().tolist() == list(range(1, 21))
    assert again["next", "observation"].data_ptr() == first["next", "observation"].data_ptr()


@pytest.mark.parametrize("time_first", [False, True])
def test_another_batch_size_is_the_same_memory(time_first: bool) -> None:
    layout = {("x",): (torch.Size([6, 2]), torch.float32), ("next", "x"): (torch.Size([6, 2]), torch.float32)}
    buffer = RolloutBuffer.allocate(layout, 4, torch.Size([6]), time_first=time_first)
    seen = buffer.reshaped(torch.Size([2, 3]))
    seen["x",][1, 1, 2] = 5
    assert seen["x",].shape == (4, 2, 3, 2)
    assert buffer["x",][1].sum(-1).tolist() == [0, 0, 0, 0, 0, 10]
    assert buffer.reshaped(torch.Size([6])) is buffer
    private = buffer.behind(layout, set(layout)).reshaped(torch.Size([3, 2]))
    assert private["x",].shape == (4, 3, 2, 2)
    assert private.is_passing(("x",))

"""RowViews: rows of a buffer as TensorDicts."""

from __future__ import annotations

import torch

from envcli.memory.buffer import RolloutBuffer
from envcli.memory.row_views import RowViews


def buffer(steps: int = 600) -> RolloutBuffer:
    layout = {
        ("a",): (torch.Size([2, 1]), torch.float32),
        ("agent", "b"): (torch.Size([2]), torch.int64),
        ("next", "a"): (torch.Size([2, 1]), torch.float32),
    }
    made = RolloutBuffer.allocate(layout, steps, torch.Size([2]))
    for path in made:
        made[path].copy_(torch.arange(steps).reshape(-1, *[1] * (made[path].ndim - 1)))
    return made


def test_any_row_in_any_order() -> None:
    rows = buffer()
    views = RowViews(rows, list(rows), None)
    for t in (0, 1, 255, 256, 599, 3):  # more than are split at a time, and back again
        row = views(t)
        assert row.batch_size == (2,)
        assert row["a"].tolist() == [[t], [t]]
        assert row["agent", "b"].tolist() == [t, t]


def test_writing_into_a_value_writes_into_the_buffer_and_setting_an_entry_does_not() -> None:
    rows = buffer(3)
    row = RowViews(rows, [("a",)], None)(1)
    row["a"] += 10
    assert rows["a",][1].tolist() == [[11], [11]]
    row.set("a", torch.zeros(2, 1))
    assert rows["a",][1].tolist() == [[11], [11]]


def test_a_prefix_is_left_out() -> None:
    rows = buffer(3)
    row = RowViews(rows, [("next", "a")], None, prefix=("next",))(2)
    assert list(row.keys()) == ["a"]


def test_only_what_was_asked_for() -> None:
    row = RowViews(buffer(3), [("agent", "b")], torch.device("cpu"))(0)
    assert list(row.keys(True, True)) == [("agent", "b")]
    assert row.device == torch.device("cpu")


def test_lasting_values_stay_what_they_were() -> None:
    desk, private = buffer(1), buffer(5).behind({("a",): (torch.Size([2, 1]), torch.float32)}, {("a",)})
    for rows in (desk, private):
        kept = RowViews(rows, [("a",)], None, lasting=True)(0)["a"]
        before = kept.tolist()
        rows[("a",)][0] = 7
        assert kept.tolist() == before
    timed = buffer(5)
    kept = RowViews(timed, [("a",)], None, lasting=True)(1)["a"]
    assert kept.data_ptr() == timed[("a",)][1].data_ptr(), "a row with a time of its own is not copied"

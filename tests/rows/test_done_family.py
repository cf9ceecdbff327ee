from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli.keys import DONE_FAMILY, Key
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.done_family import EndRows, done_family, terminated_or_truncated
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Categorical, Composite


def rows(batch_size: torch.Size, steps: int = 4) -> RolloutBuffer:
    shape = torch.Size([*batch_size, 1])
    layout: dict[Key, tuple[torch.Size, torch.dtype]] = {("next", name): (shape, torch.bool) for name in DONE_FAMILY}
    return RolloutBuffer.allocate(layout, steps, batch_size)


def ends(buffer: RolloutBuffer) -> list[list[int]]:
    """Where done, terminated and truncated are true, in the memory as it lies."""
    return [buffer.array(("next", name)).reshape(-1).nonzero()[0].tolist() for name in DONE_FAMILY]


def test_the_spec_is_what_an_env_of_that_shape_takes() -> None:
    for batch_size in ([], [3], [2, 3]):
        specs = EnvSpecs(batch_size=batch_size)
        specs.full_done_spec = done_family(batch_size)
        assert specs.done_keys == [*DONE_FAMILY]
        for leaf in specs.full_done_spec.leaves().values():
            assert leaf == Categorical(2, shape=torch.Size([*batch_size, 1]), dtype=torch.bool)
    assert done_family(device=torch.device("cpu")).device == torch.device("cpu")


def test_an_end_is_marked_in_its_row_alone() -> None:
    buffer = rows(torch.Size([]))
    marks = EndRows(buffer)
    marks.mark(1, True, False)
    marks.mark(3, np.False_, np.True_)
    assert ends(buffer) == [[1, 3], [1], [3]]


def test_ends_of_a_batch_are_marked_together() -> None:
    buffer = rows(torch.Size([3]), steps=2)
    marks = EndRows(buffer)
    marks.mark(0, np.array([True, False, False]), np.array([False, False, True]))
    assert ends(buffer) == [[0, 2], [0], [2]]
    marks.mark((np.array([1, 1]), np.array([0, 1])), np.array([True, True]), np.array([False, True]))
    assert [buffer.array(("next", name))[1, :, 0].tolist() for name in DONE_FAMILY] == [
        [True, True, False],
        [True, True, False],
        [False, True, False],
    ]


@pytest.mark.parametrize("declared", [True, False])
def test_any_flag_of_a_group_asks_for_its_reset(declared: bool) -> None:
    inner = done_family([2])
    spec = Composite(agents=inner, done=inner["done"], shape=[2]) if declared else None
    data = TensorDict({"agents": inner.zero(), "done": torch.zeros(2, 1, dtype=torch.bool)}, batch_size=[2])
    assert not terminated_or_truncated(data, spec)
    assert "_reset" not in data
    assert not terminated_or_truncated(data, spec, write_full_false=True)
    assert data["agents", "_reset"].tolist() == data["_reset"].tolist() == [[False], [False]]
    assert not terminated_or_truncated(data, spec)
    assert "_reset" not in data
    data["agents", "truncated"][1] = True
    assert terminated_or_truncated(data, spec, key=None)
    assert "_reset" not in data
    assert terminated_or_truncated(data, spec, key="asked")
    assert data["agents", "asked"].tolist() == [[False], [True]]
    assert data["asked"].tolist() == [[False], [False]]
    assert terminated_or_truncated(data.exclude("done"), spec), "what is missing is false"

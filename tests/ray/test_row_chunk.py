"""RowChunk: rows of some envs, on their way into those of all."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from envcli.batch.share import Share
from envcli.memory.buffer import RolloutBuffer
from envcli.ray.row_chunk import RowChunk
from envcli.testing.toys import CountingEnv
from tests.batch.shared_rows import rows_for

ENVS, STEPS = range(1, 3), 6
SHOWN = [("observation",), ("start",)]
DONE = [("next", "done")]


@pytest.fixture
def theirs() -> RolloutBuffer:
    """Six steps of two envs, in episodes of two and of three, and what the row after them begins with."""
    share = Share([lambda: CountingEnv(2), lambda: CountingEnv(3)])
    share.set_seeds([1, 2])
    buffer = rows_for(share.envs[0], 2, STEPS + 1)
    buffer["action",].uniform_(-1, 1)
    share.bind(buffer)
    share.reset_row(0, None)
    share.autoreset_rows(0, STEPS, True)
    return buffer


def ours() -> RolloutBuffer:
    """Rows of four envs, full of sevens."""
    buffer = rows_for(CountingEnv(), 4, STEPS + 4)
    for path in buffer:
        buffer[path].fill_(7)
    return buffer


def sent(chunk: RowChunk) -> RowChunk:
    found: RowChunk = pickle.loads(pickle.dumps(chunk))
    return found


def test_the_first_row_arrives_where_it_belongs(theirs: RolloutBuffer) -> None:
    buffer = ours()
    sent(RowChunk.of_root(theirs, SHOWN)).unpack(buffer, 3, ENVS)
    for path in SHOWN:
        assert torch.equal(buffer[path][3, 1:3], theirs[path][0])
        assert (buffer[path][[*range(3), *range(4, 10)]] == 7).all()
        assert (buffer[path][3, [0, 3]] == 7).all()
    assert (buffer["next", "observation"] == 7).all()


@pytest.mark.parametrize("onward", [False, True])
def test_steps_arrive_with_the_beginnings_of_new_episodes(theirs: RolloutBuffer, onward: bool) -> None:
    buffer = ours()
    sent(RowChunk.of_root(theirs, SHOWN)).unpack(buffer, 2, ENVS)
    sent(RowChunk.of_steps(theirs, STEPS, onward, [("action",)], SHOWN, DONE)).unpack(buffer, 2, ENVS)
    for path in buffer:
        if path[0] == "next" or path == ("action",):
            assert torch.equal(buffer[path][2 : 2 + STEPS, 1:3], theirs[path][:STEPS])
    for path in SHOWN:
        last = STEPS + onward
        assert torch.equal(buffer[path][2 : 2 + last, 1:3], theirs[path][:last])
        assert (buffer[path][2 + last :] == 7).all()


def test_only_new_episodes_are_sent_twice(theirs: RolloutBuffer) -> None:
    chunk = RowChunk.of_steps(theirs, STEPS, True, [], SHOWN, DONE)
    assert not {*SHOWN} & {*chunk.rows}
    assert {path: values.shape for path, values in chunk.starts.items()} == dict.fromkeys(SHOWN, (5, 1))
    assert [row.nonzero()[0].tolist() for row in chunk.where] == [[], [0], [1], [0], [], [0, 1]]


def test_what_no_step_leads_to_is_sent_whole() -> None:
    buffer = RolloutBuffer(3, torch.Size([2]), {})
    buffer.add(("params",), torch.zeros(2, 1)).copy_(torch.arange(6.0).reshape(3, 2, 1))
    buffer.add(("next", "done"), torch.zeros(2, 1, dtype=torch.bool))
    chunk = RowChunk.of_steps(buffer, 2, True, [], [("params",)], DONE)
    assert chunk.rows["params",].tolist() == buffer["params",].tolist()
    assert chunk.starts == {}


def test_an_entry_that_no_spec_announced_gets_rows_of_its_dtype(theirs: RolloutBuffer) -> None:
    theirs.add(("value",), torch.zeros(2, 3, dtype=torch.bfloat16)).fill_(1.5)
    chunk = sent(RowChunk.of_steps(theirs, 2, False, [("value",)], SHOWN, DONE))
    chunk = chunk._replace(dtypes={("value",): torch.bfloat16})
    buffer = ours()
    chunk.unpack(buffer, 0, ENVS)
    assert (buffer["value",].dtype, buffer["value",].shape) == (torch.bfloat16, torch.Size([10, 4, 3]))
    assert (buffer["value",][:2, 1:3] == 1.5).all()
    assert not buffer["value",][:2, [0, 3]].any()
    assert ("value",) in buffer.added


def test_envs_that_are_several_say_for_each_whether_it_begins() -> None:
    share = Share([lambda: CountingEnv([1, 2], [2])])
    buffer = rows_for(share.envs[0], 1, 3)
    share.bind(buffer)
    share.reset_row(0, None)
    share.autoreset_rows(0, 2, True)
    done = [("next", *path) for path in share.envs[0].full_done_spec.leaves()]
    chunk = RowChunk.of_steps(buffer, 2, True, [], SHOWN, done)
    assert np.array_equal(chunk.where, [[[True, False]], [[True, True]]])
    copy = rows_for(share.envs[0], 1, 3)
    for one in (RowChunk.of_root(buffer, SHOWN), chunk):
        one.unpack(copy, 0, range(1))
    assert torch.equal(copy["start",], buffer["start",])

"""Where a rollout ends."""

from __future__ import annotations

import pytest
import torch

from envcli.envs.ending import check_truncatable, end_rule, mark_truncated
from envcli.errors import EnvError, SpecError
from envcli.memory.buffer import RolloutBuffer
from envcli.testing.toys import CountingEnv, StatelessEnv


@pytest.mark.parametrize(
    ("any_done", "all_done", "rule"),
    [
        (None, None, "stop"),
        (True, None, "stop"),
        (True, False, "stop"),
        (False, None, "reset"),
        (False, False, "reset"),
        (None, True, "wait"),
        (False, True, "wait"),
    ],
)
def test_two_flags_are_one_rule(any_done: bool | None, all_done: bool | None, rule: str) -> None:
    assert end_rule(any_done, all_done) == rule


def test_both_at_once_are_refused() -> None:
    with pytest.raises(SpecError, match=r"break_when_any_done and break_when_all_done cannot be combined. Give one"):
        end_rule(True, True)


@pytest.mark.parametrize("batch_size", [(), (2,)])
def test_the_last_row_is_marked_and_no_other(batch_size: tuple[int, ...]) -> None:
    env = CountingEnv(9, batch_size)
    buffer = RolloutBuffer.allocate(env._row_layout(), 5, env.batch_size)
    buffer.filled = 3
    mark_truncated(env, buffer)
    for name, rows in (("done", [2]), ("truncated", [2]), ("terminated", [])):
        flags = buffer["next", name].reshape(5, -1)
        assert torch.equal(flags.all(-1), flags.any(-1)), "all envs alike"
        assert flags.all(-1).nonzero().flatten().tolist() == rows
        assert not buffer[name,].any()


def test_an_env_without_the_flag_is_told_what_it_lacks() -> None:
    check_truncatable(CountingEnv())
    with pytest.raises(
        EnvError,
        match=r"set_truncated=True needs a 'truncated' flag, but StatelessEnv has \['done', 'terminated'\]. Give",
    ):
        check_truncatable(StatelessEnv())

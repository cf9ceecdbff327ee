"""LostEnvs: the step that a lost env never made."""

from __future__ import annotations

import pytest
import torch

from envcli.batch.lost_envs import LostEnvs
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.keys import RESTARTED, Key
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Unbounded
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.tensordict_primer import TensorDictPrimer
from tests.batch.shared_rows import rows_for


def lost(env: Env, i: int, t: int) -> tuple[RolloutBuffer, RolloutBuffer, torch.Tensor]:
    """Rows of three envs, full of numbers, and what is left of them where env ``i`` is lost in row ``t``; the flags."""
    buffer, before = rows_for(env, 3, 4), rows_for(env, 3, 4)
    for place, path in enumerate(buffer):
        rows = buffer[path]
        numbers = torch.arange(rows.numel()).reshape(rows.shape) + place
        rows.copy_(numbers % 2 == 0 if rows.dtype == torch.bool else numbers)
        before[path].copy_(rows)
    restarted = torch.zeros(4, 3, *env.batch_size, 1, dtype=torch.bool)
    LostEnvs(env, buffer, {("next", RESTARTED): restarted}).write(i, t)
    return buffer, before, restarted


@pytest.mark.parametrize("make", [CountingEnv, NestedEnv, lambda: CountingEnv(5, [2])])
def test_nothing_moved_nothing_was_earned_and_the_episode_is_cut(make: type[CountingEnv]) -> None:
    env = make()
    buffer, _, restarted = lost(env, i=1, t=2)
    group: Key = ("agent",) if isinstance(env, NestedEnv) else ()
    for name in ("observation", "start"):
        assert torch.equal(buffer["next", *group, name][2, 1], buffer[*group, name][2, 1])
    assert not buffer["next", *group, "reward"][2, 1].any()
    assert buffer["next", "done"][2, 1].all()
    assert buffer["next", "truncated"][2, 1].all()
    assert not buffer["next", "terminated"][2, 1].any()
    assert restarted[2, 1].all()


def test_other_rows_and_other_envs_stay_as_they_are() -> None:
    buffer, before, restarted = lost(CountingEnv(), i=1, t=2)
    for path in buffer:
        assert torch.equal(buffer[path][:, [0, 2]], before[path][:, [0, 2]])
        assert torch.equal(buffer[path][[0, 1, 3]], before[path][[0, 1, 3]])
    assert int(restarted.sum()) == 1


def test_the_root_of_the_row_stays_as_it_is() -> None:
    buffer, before, _ = lost(StatelessEnv(), i=0, t=1)
    for path in (path for path in buffer if path[0] != "next"):
        assert torch.equal(buffer[path], before[path])


def test_what_a_policy_leads_on_is_left_to_it() -> None:
    env = TransformedEnv(CountingEnv(), TensorDictPrimer(hidden=Unbounded([2])))
    buffer, before, _ = lost(env, i=0, t=1)
    assert torch.equal(buffer["next", "hidden"], before["next", "hidden"])


def test_an_env_without_a_flag_for_it_is_done_all_the_same() -> None:
    buffer, _, _ = lost(StatelessEnv(), i=0, t=1)
    assert buffer["next", "done"][1, 0].item() is True
    assert buffer["next", "terminated"][1, 0].item() is False


def test_counts_of_a_transform_stand_still() -> None:
    buffer, _, _ = lost(TransformedEnv(CountingEnv(), StepCounter(10)), i=2, t=3)
    assert torch.equal(buffer["next", "step_count"][3, 2], buffer["step_count",][3, 2])

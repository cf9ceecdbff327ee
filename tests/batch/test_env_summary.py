"""EnvSummary: what a batch knows of its envs beforehand."""

from __future__ import annotations

import pickle

import pytest
import torch

from envcli.batch.env_summary import EnvSummary
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import SpecError
from envcli.testing.toys import CountingEnv, DoubleEnv, NestedEnv, StatelessEnv
from envcli.transforms.step_counter import StepCounter


def test_it_says_what_the_env_says_also_in_another_process() -> None:
    env = TransformedEnv(StatelessEnv(2.5, [3]), StepCounter(4))
    found: EnvSummary = pickle.loads(pickle.dumps(EnvSummary.of(env)))
    assert found.specs["observation"] == env.observation_spec
    assert found.specs["state"] == env.state_spec
    assert (found.batch_size, found.device) == (torch.Size([3]), None)
    assert found.roles == env._roles()
    assert found.fits(EnvSummary.of(env))


def test_envs_of_other_lengths_fit() -> None:
    first, longer = EnvSummary.of(CountingEnv(3)), EnvSummary.of(CountingEnv(9))
    first.require_same(longer, "env 1")
    assert first.fits(longer)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (DoubleEnv(), r"observation 'observation' is float64 \[1\] within .*, for env 0 it is float32 \[1\] within"),
        (NestedEnv(), r"observation 'observation' is missing, for env 0 it is float32 \[1\]"),
        (TransformedEnv(CountingEnv(), StepCounter()), r"observation 'step_count' is int64 \[1\].* it is missing"),
        (CountingEnv(5, [2]), r"batch_size is \[2\], for env 0 it is \[\]"),
    ],
)
def test_the_first_difference_is_told_with_the_cure(other: Env, said: str) -> None:
    first, second = EnvSummary.of(CountingEnv()), EnvSummary.of(other)
    assert not first.fits(second)
    with pytest.raises(SpecError, match=rf"^env 7 does not fit the batch: {said}.*Give the envs transforms that make"):
        first.require_same(second, "env 7")


def test_of_many_the_first_and_the_first_unlike_it_are_told() -> None:
    envs = [CountingEnv(3), CountingEnv(4), DoubleEnv(), NestedEnv()]
    found = EnvSummary.telling(envs, first=10)
    assert {place: len(one.specs["observation"].keys()) for place, one in found.items()} == {10: 2, 12: 2}
    assert found[12].fits(EnvSummary.of(DoubleEnv()))
    assert [*EnvSummary.telling(envs[:2], first=10)] == [10]

"""Attributes that hold rows stay behind when what is bound to them is copied."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from envcli.chain.transformed_env import TransformedEnv
from envcli.rows.bound_to_rows import BoundToRows
from envcli.testing.toys import CountingEnv
from envcli.transforms.frame_skip import FrameSkipTransform
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.transform import Transform


class Bound(BoundToRows):
    def __init__(self) -> None:
        self.name, self._own = "a name", 0

    def bind(self, rows: list[int]) -> None:
        self._rows, self._own = rows, len(rows)


def test_only_what_binding_makes_is_left_behind() -> None:
    bound = Bound()
    bound._bound_by(bound.bind, [1, 2])
    assert bound._rows == [1, 2]
    for twin in (copy.copy(bound), copy.deepcopy(bound), pickle.loads(pickle.dumps(bound))):
        assert not hasattr(twin, "_rows")
        assert (twin.name, twin._own) == ("a name", 2)
    bound._bound_by(bound.bind, [3])
    assert not hasattr(copy.copy(bound), "_rows")


@pytest.mark.parametrize("make", [lambda: FrameSkipTransform(2), lambda: NoopResetEnv(3), RewardSum])
def test_a_transform_is_copied_as_it_was_before_there_were_rows(make: Callable[[], Transform]) -> None:
    fresh = set(vars(make()))
    env = TransformedEnv(CountingEnv(9), make())
    env.rollout(3)
    assert set(vars(env.transform.clone())) - {"_of_rows"} == fresh

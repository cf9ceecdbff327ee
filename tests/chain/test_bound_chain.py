"""BoundChain: transforms between the rows of the base env and those of the user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from envcli.backends.gym import GymWrapper
from envcli.chain.bound_chain import BoundChain
from envcli.chain.stages import Stages
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.row_env import RowEnv
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.inner_env import InnerEnv
from envcli.transforms.rename import RenameTransform
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform


class Plus(Transform):
    """Adds ``number`` to what is shown, and to the action on its way in."""

    def __init__(self, number: float, key: str = "observation", action: bool = False) -> None:
        super().__init__([key], in_keys_inv=["action"] if action else None)
        self.number = number

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs + self.number

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return state + self.number


class Twice(Plus):
    """The same, by two."""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs * 2

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return state * 2


def bound(
    env: RowEnv, chain: Sequence[Transform], before: BoundChain | None = None
) -> tuple[BoundChain, RolloutBuffer]:
    stages = Stages(env, chain)
    last = stages.specs[-1]
    buffer = RolloutBuffer.allocate(last._row_layout(), 6, last.batch_size)
    return BoundChain(stages, buffer, None, {} if before is None else before.private), buffer


@pytest.mark.parametrize(
    ("chain", "idle", "idle_at_reset"),
    [([], True, True), ([RenameTransform(["start"], ["begun"])], True, True), ([StepCounter()], False, False)],
)
def test_where_nothing_happens_it_is_idle(chain: list[Transform], idle: bool, idle_at_reset: bool) -> None:
    found, _ = bound(CountingEnv(), chain)
    assert (found.is_idle, found.is_idle_at_reset) == (idle, idle_at_reset)


def test_values_go_outwards_and_actions_inwards_through_the_whole_chain() -> None:
    chain, buffer = bound(CountingEnv(), [Plus(3, action=True), Twice(0, action=True)])
    chain.reset(0, None)
    assert buffer["observation",][0] == (0 + 3) * 2
    buffer["action",][0] = 0.25
    chain.step(0)
    assert buffer["next", "observation"][0] == (1 + 3) * 2
    assert buffer["next", "reward"][0] == 0.25 * 2 + 3
    assert buffer["action",][0] == 0.25, "the user's own stays"


def test_a_step_in_two_halves_is_a_step() -> None:
    rows = []
    for halves in (False, True):
        chain, buffer = bound(CountingEnv(), [Plus(3, action=True), StepCounter()])
        chain.reset(0, None)
        buffer["action",][0] = 0.5
        if halves:
            chain.send(0)
            chain.receive(0)
        else:
            chain.step(0)
        rows.append(buffer)
    assert all(torch.equal(rows[0][path][0], rows[1][path][0]) for path in rows[0])


def test_only_who_is_reset_begins_anew() -> None:
    chain, buffer = bound(CountingEnv(9, [2]), [Plus(3)])
    chain.reset(0, None)
    buffer["observation",][1] = 7
    chain.reset(1, np.array([False, True]))
    assert buffer["observation",][1].flatten().tolist() == [7, 3]


def test_flags_that_the_user_does_not_see_are_cleared_before_they_are_written() -> None:
    chain, buffer = bound(GymWrapper(CountingGym(), categorical_action_encoding=True), [ExcludeTransform("truncated")])
    assert ("next", "truncated") not in buffer
    root, following = chain.inner["truncated",], chain.inner["next", "truncated"]
    root.fill_(True)
    following.fill_(True)
    chain.reset(0, None)
    chain.step(0)
    assert not root[0].any()
    assert not following[0].any()


def test_state_that_is_kept_inside_goes_on_from_step_to_step_and_into_other_rows() -> None:
    env = StatelessEnv()
    chain, buffer = bound(env, [Plus(100, "position")])
    chain.reset(0, None)
    for t in range(2):
        buffer["action",][t] = 1
        chain.step(t)
    assert buffer["next", "position"][:2].flatten().tolist() == [101, 102]
    after, other = bound(env, [Plus(100, "position")], before=chain)
    other["goal",][0], other["action",][0] = 3, 1
    after.step(0)
    assert other["next", "position"][0] == 103
    assert other["next", "terminated"][0].item() is True


def test_a_transform_steps_what_is_before_it_and_nothing_behind() -> None:
    found: list[InnerEnv] = []

    class Entering(Transform):
        def _bind_inner(self, inside: InnerEnv) -> None:
            found.append(inside)

    env = CountingEnv()
    chain, buffer = bound(env, [Plus(3), Entering(), Plus(50)])
    chain.reset(0, None)
    (inside,) = found
    inside.step(0)
    assert env.steps_made == 1
    assert inside.rows["next", "observation"][0] == 1 + 3
    assert buffer["next", "observation"][0] == 0, "who stands behind has not been asked"
    assert inside.base_env is env

"""The front desk: one row of memory behind reset and step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymWrapper
from envcli.envs.front import Front
from envcli.errors import ActionError, SpecError
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv


def test_flags_of_an_old_step_do_not_show_in_the_next() -> None:
    env = GymWrapper(CountingGym(limit=2))
    td = env.step_mdp(env.rand_step(env.reset()))
    assert env.rand_step(td)["next", "done"].all()
    td = env.reset()
    assert not td["done"].any()
    assert not env.rand_step(td)["next", "done"].any()


def test_what_is_handed_out_is_fresh() -> None:
    env = GymWrapper(CountingGym())
    first = env.reset()
    following = env.rand_step(first.copy())["next"]
    env.rand_step(env.rand_step(env.reset()))
    assert first["observation"] == 0
    assert following["observation"] == 1
    following["observation"].fill_(9)
    assert env.rand_step(env.reset())["next", "observation"] == 1


@pytest.mark.parametrize("make", [lambda: StatelessEnv(batch_size=[3]), lambda: NestedEnv(3, [3])])
def test_rows_and_tensordicts_show_the_same(make) -> None:  # type: ignore[no-untyped-def]  # two lambdas
    env = make()
    torch.manual_seed(1)
    env.set_seed(1)
    straight = env.rand_step(env.reset())
    front = Front(env)
    env.set_seed(1)
    td = front.reset(None)
    td.update(straight.select(*env.action_keys))
    assert (front.step(td) == straight["next"]).all()


def test_by_rows_a_missing_state_is_named() -> None:
    env = StatelessEnv()
    front = Front(env)
    td = front.reset(None)
    del td["goal"]
    with pytest.raises(
        SpecError, match=r"no 'goal' in the TensorDict, which this env's step reads. Start from env\.reset"
    ):
        front.step(env.rand_action(td))


def test_by_rows_only_the_named_are_reset() -> None:
    env = CountingEnv(9, [2])
    front = Front(env)
    td = front.reset(None)
    td = env.step_mdp(td.update({"next": front.step(env.rand_action(td))}))
    td["_reset"] = torch.tensor([[True], [False]])
    shown = front.reset(td)
    assert shown["observation"].squeeze(-1).tolist() == [0, 1]
    assert (shown["start"] == td["start"]).squeeze(-1).tolist() == [False, True]


def test_by_rows_a_refused_action_is_not_stepped() -> None:
    env = CountingEnv()
    front = Front(env)
    with pytest.raises(ActionError):
        front.step(front.reset(None).set("action", torch.tensor([3.0])))
    assert env.steps_made == 0


@pytest.mark.parametrize("step", [Front.step, Front.step_onward])
def test_a_tensordict_of_another_batch_size_is_not_stepped(step: Callable[..., object]) -> None:
    env = CountingEnv(9, [2])
    front = Front(env)
    given = TensorDict({"action": front.reset(None).update(env.rand_action())["action"]}, batch_size=[])
    with pytest.raises(
        SpecError, match=r"^step: expected a TensorDict of batch_size \[2\], .* found \[\]\. Start from"
    ):
        step(front, given)
    assert env.steps_made == 0

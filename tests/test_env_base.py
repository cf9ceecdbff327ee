"""EnvBase: a user's own env, written on TensorDicts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.env_base import EnvBase
from envcli.errors import ActionError, EnvError, SpecError
from envcli.specs import Bounded, Categorical, Composite, Unbounded
from envcli.testing import check_env_specs
from envcli.testing.toys import BrokenEnv, CountingEnv


class Own(EnvBase):
    """What a newcomer writes: as little as possible."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.observation_spec = Composite(observation=Bounded(0, 10, shape=[1], dtype=torch.float32))
        self.action_spec = Categorical(2)
        self.given: list[Any] = []
        self.result: Any = None

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self.given.append((tensordict, options))
        return TensorDict({"observation": torch.zeros(1)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        if self.result is not None:
            return self.result(tensordict)
        moved = tensordict["observation"] + tensordict["action"]
        return TensorDict({"observation": moved, "reward": torch.ones(1), "done": moved >= 3})

    def _set_seed(self, seed: int | None) -> None: ...


def test_the_least_one_can_write_is_an_env() -> None:
    env = Own()
    assert env.reward_spec == Unbounded([1])
    assert env.done_keys == ["done", "terminated"]
    assert env.state_spec.is_empty()
    data = env.rollout(20, lambda td: td.set("action", torch.tensor(1)))
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3]
    check_env_specs(CountingEnv())


def test_reset_hands_over_what_it_was_given() -> None:
    env = Own()
    td = TensorDict({"note": torch.ones(1)})
    env.reset(td, speed=3)
    assert env.given[-1] == (td, {"speed": 3})
    env.reset()
    assert env.given[-1] == (None, {})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"done": True}, {"done": True, "terminated": True, "truncated": False}),
        ({"terminated": True}, {"done": True, "terminated": True, "truncated": False}),
        ({"truncated": True}, {"done": True, "terminated": False, "truncated": True}),
        ({"terminated": False, "truncated": False}, {"done": False, "terminated": False, "truncated": False}),
        ({"done": True, "truncated": True}, {"done": True, "terminated": False, "truncated": True}),
        ({}, {"done": False, "terminated": False, "truncated": False}),
    ],
)
def test_flags_that_are_left_out_follow_from_the_others(given: dict[str, bool], expected: dict[str, bool]) -> None:
    env = Own()
    flag = Categorical(2, shape=[1], dtype=torch.bool)
    env.full_done_spec = Composite(done=flag, terminated=flag, truncated=flag)
    flags = {name: torch.tensor([value]) for name, value in given.items()}
    env.result = lambda td: TensorDict({"observation": torch.ones(1), "reward": torch.ones(1), **flags})
    following = env.rand_step(env.reset())["next"]
    assert {name: bool(following[name]) for name in expected} == expected
    data = env.rollout(1)["next"]
    assert {name: bool(data[name]) for name in expected} == expected


@pytest.mark.parametrize(
    ("result", "kind", "said"),
    [
        (lambda td: 3, EnvError, "Own._step must return a TensorDict, returned int"),
        (lambda td: TensorDict({"reward": torch.ones(1)}), SpecError, "'observation' is missing; observation_spec"),
        (lambda td: TensorDict({"observation": torch.ones(1)}), SpecError, "'reward' is missing; reward_spec"),
        (
            lambda td: TensorDict({"observation": torch.ones(2), "reward": torch.ones(1)}),
            SpecError,
            r"'observation' has shape \[2\], observation_spec says \[1\]",
        ),
    ],
)
def test_what_a_step_must_return(result: Any, kind: type[Exception], said: str) -> None:
    env = Own()
    env.result = result
    with pytest.raises(kind, match=said):
        env.rand_step(env.reset())
    with pytest.raises(kind, match=said):
        env.rollout(2)


def test_a_step_must_not_return_its_input() -> None:
    env = Own()
    env.result = lambda td: td.update({"reward": torch.ones(1)})
    with pytest.raises(EnvError, match=r"returned its input\. Return a new TensorDict"):
        env.rand_step(env.reset())


def test_a_rollout_has_no_memory_for_what_no_spec_declares() -> None:
    with pytest.raises(SpecError, match=r"returned \['surprise'\], which no spec declares"):
        BrokenEnv("undeclared").rollout(2)


def test_type_checks_look_at_values_too() -> None:
    env = Own(run_type_checks=True)
    env.result = lambda td: TensorDict({"observation": torch.full((1,), 11.0), "reward": torch.ones(1)})
    with pytest.raises(SpecError, match=r"does not hold \[11\.0\]"):
        env.rand_step(env.reset())
    env.run_type_checks = False
    env.rand_step(env.reset())


def test_done_after_reset_must_be_allowed() -> None:
    class Finished(Own):
        def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
            return TensorDict({"observation": torch.zeros(1), "done": torch.ones(1, dtype=torch.bool)})

    with pytest.raises(EnvError, match="done right after its reset"):
        Finished().reset()
    assert Finished(allow_done_after_reset=True).reset()["done"].all()


def test_actions_are_checked_unless_the_batch_is_free() -> None:
    env = Own()
    td = env.reset()
    for wrong in (torch.tensor(2), torch.tensor([1]), torch.tensor(1.0), torch.tensor([0, 1])):
        with pytest.raises(ActionError):
            env.step(td.clone(False).set("action", wrong))
    env.batch_locked = False
    env.step(td.set("action", torch.tensor([1])))
    assert td["next", "observation"] == 1


def test_partial_reset_merges() -> None:
    env = CountingEnv(10, [3])
    td = env.step_mdp(env.rand_step(env.reset()))
    td["_reset"] = torch.tensor([[False], [True], [False]])
    before = td["start"].clone()
    assert env.reset(td) is td
    assert td["observation"].squeeze(-1).tolist() == [1, 0, 1]
    assert (td["start"] == before).squeeze(-1).tolist() == [True, False, True]


def test_it_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        EnvBase()  # type: ignore[abstract]  # the point of the test

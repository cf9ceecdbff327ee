"""Policies of every kind: what they are given, and what becomes of what they write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import NonTensorData, TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule

from envcli.errors import ActionError, SpecError
from envcli.testing.toys import CountingEnv, NestedEnv
from tests.envs.test_network import Scale


def half(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", torch.full((*td.batch_size, 1), 0.5))


def test_a_function_is_given_the_observations_of_its_row() -> None:
    seen = []

    def policy(td: TensorDictBase) -> TensorDictBase:
        seen.append((int(td["observation"]), sorted(td.keys())))
        return half(td)

    data = CountingEnv(3).rollout(9, policy)
    shown = ["done", "observation", "start", "terminated", "truncated"]
    assert seen == [(0, shown), (1, shown), (2, shown)]
    assert (data["action"] == 0.5).all()
    assert (data["next", "reward"] == 0.5).all()


def test_a_function_with_a_default_gets_the_tensordict_and_keeps_its_default() -> None:
    env = CountingEnv(3)

    def policy(tensordict: TensorDictBase, env: CountingEnv = env) -> TensorDictBase:
        assert isinstance(tensordict, TensorDictBase)
        tensordict.set("action", env.action_spec.rand())
        return tensordict

    assert env.rollout(3, policy).batch_size == (3,)


def test_a_new_tensordict_will_do() -> None:
    data = CountingEnv(3).rollout(3, lambda td: TensorDict({"action": torch.zeros(1)}))
    assert (data["action"] == 0).all()
    assert data["observation"].squeeze(-1).tolist() == [0, 1, 2]


def test_a_policy_may_write_in_place_and_return_nothing() -> None:
    def policy(td: TensorDictBase) -> None:
        td["action"] = torch.full((1,), 0.5)
        td["seen"] = td["observation"] * 2

    data = CountingEnv(3).rollout(3, policy)
    assert data["action"].squeeze(-1).tolist() == [0.5, 0.5, 0.5]
    assert data["seen"].squeeze(-1).tolist() == [0, 2, 4]


def test_a_tensordict_module_is_given_its_in_keys() -> None:
    given = []

    def forward(observation: torch.Tensor) -> torch.Tensor:
        given.append(observation.tolist())
        return observation / 10

    module = TensorDictModule(forward, in_keys=["observation"], out_keys=["action"])
    data = CountingEnv(3).rollout(3, module)
    assert given == [[0], [1], [2]]
    assert torch.equal(data["action"], data["observation"] / 10)


def test_a_tensordict_module_on_nested_keys_of_a_batch() -> None:
    keys = {"in_keys": [("agent", "observation")], "out_keys": [("agent", "action")]}
    module = TensorDictModule(lambda x: x / 10, **keys)
    data = NestedEnv([3, 4], [2]).rollout(6, module, break_when_any_done=False)
    assert torch.equal(data["agent", "action"], data["agent", "observation"] / 10)
    assert torch.equal(data["next", "agent", "reward"], data["agent", "action"])


# -- what else it writes ----------------------------------------------------------------------------------------------


def test_extra_entries_get_rows_from_the_first_step_on() -> None:
    def policy(td: TensorDictBase) -> TensorDictBase:
        td.set("log_prob", -td["observation"])
        td.set(("stats", "twice"), td["observation"].double() * 2)
        return half(td)

    data = CountingEnv([4, 4], [2]).rollout(4, policy)
    assert torch.equal(data["log_prob"], -data["observation"])
    assert torch.equal(data["stats", "twice"], data["observation"].double() * 2)


def test_a_module_may_write_extra_entries_too() -> None:
    module = TensorDictModule(lambda x: (torch.zeros(1), x + 1), in_keys=["observation"], out_keys=["action", "value"])
    data = CountingEnv(4).rollout(4, module)
    assert data["value"].squeeze(-1).tolist() == [1, 2, 3, 4]


def recurrent(td: TensorDictBase) -> TensorDictBase:
    """Counts its own calls in a hidden state."""
    hidden = td.get("hidden", torch.zeros(*td.batch_size, 3))
    td.set(("next", "hidden"), hidden + 1)
    return half(td)


def test_a_hidden_state_comes_back_in_the_next_step() -> None:
    data = CountingEnv(10).rollout(4, recurrent)
    assert data["hidden"][:, 0].tolist() == [0, 1, 2, 3]
    assert data["next", "hidden"][:, 0].tolist() == [1, 2, 3, 4]


def test_a_hidden_state_of_a_module_that_names_it() -> None:
    class Recurrent(torch.nn.Module):
        in_keys = ("observation", "hidden")
        out_keys = ("action", ("next", "hidden"))

        def forward(self, td: TensorDictBase) -> TensorDictBase:
            return recurrent(td)

    data = CountingEnv(10).rollout(4, Recurrent())
    assert data["next", "hidden"][:, 0].tolist() == [1, 2, 3, 4]


def test_an_observation_that_is_replaced_is_stored_as_it_was_read() -> None:
    def policy(td: TensorDictBase) -> TensorDictBase:
        td.set("observation", td["observation"] * 100)
        return half(td)

    data = CountingEnv(3).rollout(3, policy)
    assert data["observation"].squeeze(-1).tolist() == [0, 100, 200]
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3]


def test_an_observation_that_is_changed_in_place_changes_its_own_row_only() -> None:
    def policy(td: TensorDictBase) -> TensorDictBase:
        td["observation"].add_(50)
        return half(td)

    data = CountingEnv(3).rollout(3, policy)
    assert data["observation"].squeeze(-1).tolist() == [50, 51, 52]
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3]


def test_one_tensor_for_every_row_is_copied() -> None:
    action, note = torch.zeros(1), torch.zeros(1)

    def policy(td: TensorDictBase) -> TensorDictBase:
        action.add_(0.1)
        return td.set("action", action).set("note", note.add_(1))

    data = CountingEnv(4).rollout(4, policy)
    torch.testing.assert_close(data["action"].squeeze(-1), torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert data["note"].squeeze(-1).tolist() == [1, 2, 3, 4]


# -- what it may not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "kind", "said"),
    [
        (lambda td: torch.zeros(1), SpecError, "the policy returned a Tensor; it must return the TensorDict"),
        (lambda td: None, SpecError, r"the policy set no action: expected \['action'\], found"),
        (lambda td: td, SpecError, r"the policy set no action: expected \['action'\], found"),
        (lambda td: td.set("action", torch.zeros(2)), ActionError, r"found shape \[2\]"),
        (lambda td: td.set("action", torch.tensor([1.5])), ActionError, r"found \[1\.5\]"),
        (lambda td: td.set("action", torch.tensor([float("nan")])), ActionError, r"found \[nan\]"),
        (
            lambda td: td.set("action", torch.zeros(1, dtype=torch.complex64)),
            ActionError,
            "found dtype torch.complex64",
        ),
        (
            lambda td: half(td).set("note", NonTensorData("text")),
            SpecError,
            "wrote note, a NonTensorData; a rollout holds",
        ),
        (3, TypeError, "policy: expected a callable that takes a TensorDict, found a int"),
    ],
)
def test_what_is_refused_and_how(policy: Any, kind: type[Exception], said: str) -> None:
    env = CountingEnv()
    with pytest.raises(kind, match=said):
        env.rollout(3, policy)
    assert env.steps_made == 0
    assert env.rollout(2).batch_size == (2,), "and the env can be used again"


def test_an_action_is_asked_for_in_every_step() -> None:
    with pytest.raises(SpecError, match="set no action"):
        CountingEnv().rollout(3, lambda td: half(td) if td["observation"] == 0 else td)


def test_an_entry_keeps_its_shape() -> None:
    with pytest.raises(SpecError, match=r"wrote note of shape \[2\] in row 1, after \[1\] before"):
        CountingEnv().rollout(3, lambda td: half(td).set("note", torch.zeros(1 + int(td["observation"]))))


def test_auto_cast_goes_where_the_parameters_are() -> None:
    data = CountingEnv(3).rollout(3, Scale(), auto_cast_to_device=True)
    torch.testing.assert_close(data["action"], data["observation"] / 10)
    assert CountingEnv(3).rollout(3, half, auto_cast_to_device=True).batch_size == (3,)

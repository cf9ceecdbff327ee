"""step_mdp: from one step to the next."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import LazyStackedTensorDict, TensorDict

from envcli.mdp import leaf_paths, step_mdp


def step(**root: torch.Tensor) -> TensorDict:
    following = {"observation": torch.ones(1), "reward": torch.ones(1), "done": torch.tensor([True])}
    values = {"observation": torch.zeros(1), "action": torch.zeros(2), "done": torch.tensor([False]), **root}
    return TensorDict({**values, "next": following})


def test_next_becomes_the_root_and_reward_and_action_are_left_behind() -> None:
    before = step(note=torch.tensor([7.0]))
    after = step_mdp(before)
    assert set(after.keys()) == {"observation", "done", "note"}
    assert after["observation"] is before["next", "observation"]
    assert after["note"] is before["note"]
    assert after["done"].all()


def test_the_step_is_not_changed() -> None:
    before = step()
    copied = before.clone()
    step_mdp(before).set("observation", torch.full((1,), 9.0))
    assert (before == copied).all()
    assert set(before.keys(True)) == set(copied.keys(True))


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"exclude_reward": False}, {"observation", "done", "note", "reward"}),
        ({"exclude_done": True}, {"observation", "note"}),
        ({"exclude_action": False}, {"observation", "done", "note", "action"}),
        ({"keep_other": False}, {"observation", "done"}),
        ({"keep_other": False, "exclude_done": True, "exclude_reward": False}, {"observation", "reward"}),
    ],
)
def test_what_is_left_out_can_be_chosen(options: dict[str, bool], keys: set[str]) -> None:
    assert set(step_mdp(step(note=torch.zeros(1)), **options).keys()) == keys  # type: ignore[arg-type]  # all are flags


OF_TORCHRL = """  keep_other exclude_reward exclude_done exclude_action: what TorchRL 0.14 keeps
    0000 action done g.action g.done g.obs g.reward obs only.action r.reward reward
    0001 done g.done g.obs g.reward obs r.reward reward
    0010 action g.action g.obs g.reward obs only.action r.reward reward
    0011 g.obs g.reward obs r.reward reward
    0100 action done g.action g.done g.obs obs only.action
    0101 done g.done g.obs obs
    0110 action g.action g.obs obs only.action
    0111 g.obs obs
    1000 action done g.action g.done g.h g.obs g.reward h obs only.action r.reward reward
    1001 done g.done g.h g.obs g.reward h obs r.reward reward
    1010 action g.action g.h g.obs g.reward h obs only.action r.reward reward
    1011 g.h g.obs g.reward h obs r.reward reward
    1100 action done g.action g.done g.h g.obs h obs only.action
    1101 done g.done g.h g.obs h obs
    1110 action g.action g.h g.obs h obs only.action
    1111 g.h g.obs h obs
"""


@pytest.mark.parametrize("line", OF_TORCHRL.splitlines()[1:])
def test_what_is_kept_is_what_torchrl_keeps(line: str) -> None:
    flags, *kept = line.split()
    names = ("keep_other", "exclude_reward", "exclude_done", "exclude_action")
    leaf = torch.ones(1)
    shown = {"obs": leaf, "reward": leaf, "done": leaf}
    root = {**shown, "action": leaf, "h": leaf}
    before = TensorDict(
        {**root, "g": root, "only": {"action": leaf}, "next": {**shown, "g": shown, "r": {"reward": leaf}}}
    )
    keys = {"reward_keys": ["reward", ("g", "reward"), ("r", "reward")], "done_keys": ["done", ("g", "done")]}
    actions = ["action", ("g", "action"), ("only", "action")]
    options = {name: flag == "1" for name, flag in zip(names, flags, strict=True)}
    after = step_mdp(before, action_keys=actions, **keys, **options)  # type: ignore[arg-type]  # of two kinds
    assert sorted(map(".".join, leaf_paths(after))) == kept


def test_the_action_alone_is_kept_where_it_is_asked_for() -> None:
    after = step_mdp(step(note=torch.zeros(1)), keep_other=False, exclude_action=False)
    assert set(after.keys()) == {"observation", "done", "action"}
    assert "action" not in step_mdp(
        TensorDict({"next": {"done": torch.ones(1)}}), keep_other=False, exclude_action=False
    )


def test_a_given_tensordict_is_filled_and_returned() -> None:
    given_one = TensorDict({"mine": torch.zeros(1)})
    assert step_mdp(step(), given_one) is given_one
    assert set(given_one.keys()) == {"mine", "observation", "done"}


def test_nested_keys() -> None:
    before = TensorDict(
        {
            "agent": {"observation": torch.zeros(1), "action": torch.zeros(1), "memory": torch.zeros(1)},
            "next": {"agent": {"observation": torch.ones(1), "reward": torch.ones(1)}, "done": torch.ones(1).bool()},
        }
    )
    after = step_mdp(before, reward_keys=[("agent", "reward")], action_keys=("agent", "action"))
    assert set(leaf_paths(after)) == {("agent", "observation"), ("agent", "memory"), ("done",)}
    assert after["agent", "observation"] == 1
    assert set(before["agent"].keys()) == {"observation", "action", "memory"}, "the step must not change"


def test_without_a_step_there_is_nothing_to_move() -> None:
    with pytest.raises(KeyError, match=r"no entry 'next'.*call env\.step"):
        step_mdp(TensorDict({"observation": torch.zeros(1)}))


def test_batch_names_and_device_stay() -> None:
    before = TensorDict(
        {"observation": torch.zeros(2, 3, 1), "next": {"observation": torch.ones(2, 3, 1)}},
        batch_size=[2, 3],
        names=[None, "time"],
        device="cpu",
    )
    after = step_mdp(before)
    assert (after.batch_size, after.names, after.device) == ((2, 3), [None, "time"], torch.device("cpu"))


NAMES = st.sets(st.sampled_from(["a", "b", "c", "d"]))


@settings(max_examples=30)
@given(NAMES, NAMES)
def test_the_root_gives_way_to_next(root: set[str], following: set[str]) -> None:
    before = TensorDict({name: torch.zeros(1) for name in root})
    before["next"] = TensorDict({name: torch.ones(1) for name in following})
    after = step_mdp(before)
    assert set(after.keys()) == root | following
    assert all(after[name] == (name in following) for name in root | following)


@pytest.mark.parametrize("into", [False, True])
def test_steps_of_a_lazy_stack_may_hold_different_entries(into: bool) -> None:
    steps = [
        TensorDict({"kept": torch.zeros(1), "next": {"seen": torch.ones(1), name: torch.ones(2)}}) for name in "ab"
    ]
    out = LazyStackedTensorDict.lazy_stack([TensorDict({}), TensorDict({})]) if into else None
    after = step_mdp(LazyStackedTensorDict.lazy_stack(steps), out)
    assert [set(step.keys()) for step in after.unbind(0)] == [{"kept", "seen", "a"}, {"kept", "seen", "b"}]
    assert after["seen"].tolist() == [[1], [1]]
    assert after is out or not into


def test_what_holds_nothing_is_left_out() -> None:
    step = TensorDict({"agents": {}, "next": {"agents": {"reward": torch.ones(1)}, "seen": torch.ones(1)}})
    assert set(step_mdp(step, reward_keys=("agents", "reward")).keys()) == {"seen"}

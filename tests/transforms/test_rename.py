"""RenameTransform: entries under other names, in the same memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import TransformError
from envcli.specs import Categorical, Composite, Unbounded
from envcli.testing import check_env_specs
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.rename import RenameTransform
from envcli.transforms.select import SelectTransform
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform


def renamed(env: Env, *args: Any, **kwargs: Any) -> TransformedEnv:
    return TransformedEnv(env, RenameTransform(*args, **kwargs))


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("batch", [[], [2]])
@pytest.mark.parametrize("key", ["observation", "reward", "terminated"])
def test_any_entry_keeps_every_promise(key: str, batch: list[int], copy: bool) -> None:
    new = "new" if key == "terminated" else ("group", "new")  # done looks for its parts beside itself
    check_env_specs(renamed(CountingEnv(3, batch), [key], [new], create_copy=copy))
    check_env_specs(renamed(GymEnv("CartPole-v1"), [key], ["new"], create_copy=copy))


def test_an_entry_has_its_new_name_everywhere() -> None:
    env = renamed(CountingEnv([2, 3], [2]), ["observation", "reward"], ["seen", "paid"])
    assert env.observation_keys == ["seen", "start"], "in its old place"
    assert env.reward_keys == ["paid"]
    data = env.rollout(4, break_when_any_done=False)
    assert data["seen"].squeeze(-1).tolist() == [[0, 1, 0, 1], [0, 1, 2, 0]]
    assert data["next", "seen"].squeeze(-1).tolist() == [[1, 2, 1, 2], [1, 2, 3, 1]]
    assert torch.equal(data["next", "paid"], data["action"])
    assert "observation" not in data
    assert "reward" not in data["next"]


def test_it_is_the_same_memory() -> None:
    env = renamed(CountingEnv(), ["observation"], ["seen"], ["action"], ["move"])
    env.rand_step(env.reset())
    outer, inner = env._bound, env.base_env._bound
    assert outer is not None
    assert inner is not None
    pairs = ((("seen",), ("observation",)), (("next", "seen"), ("next", "observation")), (("move",), ("action",)))
    for ours, theirs in pairs:
        assert outer[ours].data_ptr() == inner[theirs].data_ptr()
    assert env._bound_chain.is_idle, "nothing is done per step"


def test_a_copy_is_not() -> None:
    env = renamed(CountingEnv([2, 3], [2]), ["observation"], ["seen"], create_copy=True)
    data = env.rollout(4, break_when_any_done=False)
    assert torch.equal(data["seen"], data["observation"])
    assert torch.equal(data["next", "seen"], data["next", "observation"])
    data["seen"].fill_(9)
    assert data["observation"].max() < 9


def test_names_may_be_exchanged() -> None:
    env = renamed(CountingEnv(3), ["observation", "start"], ["start", "observation"])
    check_env_specs(env)
    env.set_seed(0)
    data, plain = env.rollout(3), CountingEnv(3)
    plain.set_seed(0)
    assert data["start"].squeeze(-1).tolist() == [0, 1, 2]
    assert torch.equal(data["observation"][0], plain.reset()["start"])


@pytest.mark.parametrize("copy", [False, True])
def test_actions_are_given_by_the_new_name(copy: bool) -> None:
    env = renamed(CountingEnv(), [], [], ["action"], ["move"], create_copy=copy)
    check_env_specs(env)
    assert env.action_keys == (["action", "move"] if copy else ["move"])
    td = env.reset().set("move", torch.tensor([0.25])).set("action", torch.tensor([0.5]))
    assert env.step(td)["next", "reward"] == 0.25


def test_nested_entries_in_and_out_of_groups() -> None:
    env = renamed(NestedEnv(3), [("agent", "observation")], ["seen"], [("agent", "action")], [("new", "move")])
    check_env_specs(env)
    assert env.observation_keys == ["seen", ("agent", "start")]
    assert env.action_keys == [("new", "move")]


def test_a_state_is_renamed_both_ways() -> None:
    env = renamed(StatelessEnv(2.5, [2]), ["position"], ["place"], ["position"], ["place"])
    check_env_specs(env)
    td = env.reset().set("action", torch.ones(2, 1))
    td["place"] = torch.tensor([[0.0], [2.0]])
    assert env.step(td)["next", "place"].squeeze(-1).tolist() == [1, 3]
    counted = TransformedEnv(
        CountingEnv(3), Compose(StepCounter(2), RenameTransform(["step_count"], ["k"], ["step_count"], ["k"]))
    )
    assert counted.rollout(5, break_when_any_done=False)["k"].squeeze(-1).tolist() == [0, 1, 0, 1, 0]
    with pytest.raises(
        TransformError, match=r"'position' is an output that the next step reads. Rename it both ways: "
    ):
        renamed(StatelessEnv(), ["position"], ["place"])
    with pytest.raises(
        TransformError, match=r"'position' is an output that the next step reads. Rename it both ways: "
    ):
        renamed(StatelessEnv(), [], [], ["position"], ["place"])


def test_a_rollout_is_renamed_as_in_the_env() -> None:
    env = renamed(CountingEnv(3), ["observation", "reward"], ["seen", "paid"])
    runs = []
    for which in (env, env.base_env):
        torch.manual_seed(0)
        which.set_seed(0)
        runs.append(which.rollout(3))
    assert (env.transform(runs[1]) == runs[0]).all()


@pytest.mark.parametrize("copy", [False, True])
def test_alone(copy: bool) -> None:
    transform = RenameTransform(["a", "lost"], [("n", "b"), "c"], ["action"], ["move"], create_copy=copy)
    td = TensorDict({"a": torch.ones(3), "move": torch.zeros(3)}, batch_size=[3])
    assert transform(td) is td
    assert torch.equal(td["n", "b"], torch.ones(3))
    assert ("a" in td) is copy
    back = transform.inv(td)
    assert torch.equal(back["action"], torch.zeros(3))
    assert ("move" in back) is copy
    assert "action" not in td, "the way back is on a copy"


def test_what_does_not_fit() -> None:
    with pytest.raises(TransformError, match=r"in_keys \['a'\] and out_keys \['b', 'c'\] must have the same length"):
        RenameTransform(["a"], ["b", "c"])
    with pytest.raises(TransformError, match=r"in_keys \['seen'\] do not exist. The env has: done, observation, "):
        renamed(CountingEnv(), ["seen"], ["x"])
    with pytest.raises(TransformError, match=r"in_keys_inv \['move'\] do not exist. The env has: action"):
        renamed(CountingEnv(), [], [], ["move"], ["x"])
    for taken in ("start", "reward"):
        with pytest.raises(TransformError, match=rf"'observation' cannot be renamed to '{taken}', which already"):
            renamed(CountingEnv(), ["observation"], [taken])


def test_repr() -> None:
    assert repr(RenameTransform(["a"], [("n", "b")])) == "RenameTransform('a' -> ('n', 'b'))"


@pytest.mark.parametrize("names", [(["a", "b"], ["c", "c"]), (["a", "a"], ["c", "d"])])
def test_an_entry_is_named_once(names: tuple[list[str], list[str]]) -> None:
    with pytest.raises(TransformError, match="list an entry twice"):
        RenameTransform(*names)


@pytest.mark.parametrize(
    "transform",
    [
        RenameTransform([("agents", "observation")], [("agents", "view")]),
        RenameTransform([("agents", "observation")], ["view"]),
        RenameTransform([], [], [("agents", "action")], [("agents", "move")]),
        ExcludeTransform("state"),
        SelectTransform(("agents", "observation")),
    ],
    ids=["within", "out", "action", "exclude", "select"],
)
def test_groups_keep_their_batch_size(transform: Transform) -> None:
    class Team(EnvBase):
        def __init__(self) -> None:
            super().__init__()
            self.observation_spec = Composite(
                agents=Composite(observation=Unbounded([3, 2]), shape=[3]), state=Unbounded([4])
            )
            self.action_spec = Composite(agents=Composite(action=Categorical(4, shape=[3]), shape=[3]))
            self.reward_spec = Composite(agents=Composite(reward=Unbounded([3, 1]), shape=[3]))

        def _reset(self, tensordict: Any, **options: Any) -> Any:
            return self.observation_spec.zero()

        def _step(self, tensordict: Any) -> Any:
            return self.observation_spec.zero().update(self.full_reward_spec.zero()).update(self.full_done_spec.zero())

        def _set_seed(self, seed: int | None) -> None:
            pass

    env = TransformedEnv(Team(), transform)
    for spec in (env.full_action_spec, env.full_reward_spec):
        assert spec["agents"].shape == (3,)
    assert env.rollout(2)["agents"].batch_size == (2, 3)

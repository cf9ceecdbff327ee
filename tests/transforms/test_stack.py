"""Stack: several entries along a new dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Categorical, Composite, OneHot, TensorSpec, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, DoubleEnv, StatelessEnv
from envcli.transforms.stack import Stack

AGENTS = ("agent_1", "agent_0")  # not in the order of the specs
GROUPS: dict[str, Any] = {
    "in_keys": list(AGENTS),
    "out_key": "agents",
    "in_key_inv": "agents",
    "out_keys_inv": list(AGENTS),
}


class Pair(EnvBase):
    """Two agents, each in a group: an agent sees ``[steps, its number, ...]`` and is paid the sum of its action."""

    def __init__(
        self, batch_size: Sequence[int] = (), action: TensorSpec | None = None, own_flags: bool = False
    ) -> None:
        super().__init__(batch_size=batch_size)
        lead = self.batch_size
        action = Bounded(-1, 1, (*lead, 2)) if action is None else action.expand(*lead, *action.shape)
        self._own_flags = own_flags
        self._count = torch.zeros(*lead, 1)
        self.observation_spec = self._both(lambda i: {"obs": Bounded(0, 99.0 + i, (*lead, 3))})
        self.full_action_spec = self._both(lambda i: {"action": action})
        self.full_reward_spec = self._both(lambda i: {"reward": Unbounded((*lead, 1))})
        if own_flags:
            self.full_done_spec = self._both(lambda i: {"done": Categorical(2, shape=(*lead, 1), dtype=torch.bool)})

    def _both(self, entries: Any) -> Composite:
        groups = {f"agent_{i}": Composite(entries(i), shape=self.batch_size) for i in range(2)}
        return Composite(groups, shape=self.batch_size)

    def _seen(self) -> TensorDict:
        found = TensorDict({}, self.batch_size)
        for i in range(2):
            number = torch.full((*self.batch_size, 2), float(i))
            found.set((f"agent_{i}", "obs"), torch.cat([self._count, number], -1))
        return found

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        where = None if tensordict is None else tensordict.get("_reset", None)
        if where is None:
            where = torch.ones_like(self._count, dtype=torch.bool)
        self._count = torch.where(where, 0.0, self._count)
        return self._seen()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self._count = self._count + 1
        found = self._seen()
        for i in range(2):
            pay = tensordict[f"agent_{i}", "action"].float().sum(-1, keepdim=True)
            found.set((f"agent_{i}", "reward"), pay)
            if self._own_flags:
                found.set((f"agent_{i}", "done"), self._count >= 4)
        return found if self._own_flags else found.set("done", self._count >= 4)

    def _set_seed(self, seed: int | None) -> None:
        pass  # nothing is drawn


class TestGroups(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Pair([2]), Stack(**GROUPS))


class TestFlags(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Pair(own_flags=True), Stack(**GROUPS))


class TestObservations(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Pair(), Stack([("agent_0", "obs"), ("agent_1", "obs")], "both", dim=-2))


class TestBesideItsParts(EnvContract):
    def make_env(self) -> Env:
        keys = [("agent_0", "obs"), ("agent_1", "obs")]
        return TransformedEnv(Pair([2]), Stack(keys, ("both", "obs"), dim=-1, del_keys=False))


class TestActions(EnvContract):
    def make_env(self) -> Env:
        keys = [("agent_0", "action"), ("agent_1", "action")]
        return TransformedEnv(Pair([3]), Stack([], "unused", "action", keys, dim=-2))


class TestOfAState(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(batch_size=[2]), Stack(["position"], "stacked"))


def test_groups_become_one() -> None:
    """Keys, shapes and batch sizes as TorchRL 0.14 prints them for such an env."""
    env = TransformedEnv(Pair(), Stack(**GROUPS))
    assert env.observation_spec["agents"].shape == (2,)
    assert env.observation_spec["agents", "obs"] == Bounded(
        torch.zeros(2, 3), torch.tensor([[100.0] * 3, [99.0] * 3]), (2, 3)
    )
    assert env.full_action_spec["agents", "action"] == Bounded(-1, 1, (2, 2))
    assert env.full_reward_spec["agents", "reward"] == Unbounded((2, 1))
    data = env.rollout(3)
    assert set(data.keys()) == {"agents", "done", "terminated", "next"}
    assert data["agents"].batch_size == data["next", "agents"].batch_size == (3, 2)
    assert data["next", "agents", "obs"][:, :, 0].tolist() == [[1, 1], [2, 2], [3, 3]]
    assert data["agents", "obs"][:, :, 1].tolist() == [[1, 0]] * 3, "in the order of in_keys"
    assert torch.allclose(data["next", "agents", "reward"], data["agents", "action"].sum(-1, keepdim=True))


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize(("dim", "positive", "shape"), [(-1, False, (3, 2)), (-2, False, (2, 3)), (0, True, (2, 3))])
def test_entries_along_any_dimension(batch: tuple[int, ...], dim: int, positive: bool, shape: tuple[int, ...]) -> None:
    keys = [("agent_0", "obs"), ("agent_1", "obs")]
    env = TransformedEnv(Pair(batch), Stack(keys, "both", dim=dim, allow_positive_dim=positive))
    plain = Pair(batch).rollout(6, break_when_any_done=False)
    data = env.rollout(6, break_when_any_done=False)
    axis = dim if dim < 0 else data.ndim
    for place in (data, data["next"]):
        assert place["both"].shape == (*batch, 6, *shape)
        assert ("agent_0", "obs") not in place.keys(True)
    assert torch.equal(data["both"], torch.stack([plain[key] for key in keys], axis))
    assert torch.equal(data["next", "both"], torch.stack([plain["next", *key] for key in keys], axis))


def test_a_partial_reset() -> None:
    env = TransformedEnv(Pair([2]), Stack(**GROUPS))
    td = env.step_mdp(env.rand_step(env.reset()))
    td = env.reset(td.set("_reset", torch.tensor([[True], [False]])))
    assert td["agents", "obs"][..., 0].tolist() == [[0, 0], [1, 1]]


def test_the_user_gives_the_stack_alone() -> None:
    keys = [("agent_0", "action"), ("agent_1", "action")]
    env = TransformedEnv(Pair(), Stack([], "unused", "action", keys, dim=-2, del_keys=False))
    assert env.action_keys == ["action"]
    td = env.step(env.reset().set("action", torch.tensor([[1.0, 0.5], [-1.0, 0.0]])))
    assert td["next", "agent_0", "reward"] == 1.5
    assert td["next", "agent_1", "reward"] == -1
    assert td["action"].tolist() == [[1, 0.5], [-1, 0]]


def test_one_hot_actions_stay_one_hot() -> None:
    keys = [("agent_0", "action"), ("agent_1", "action")]
    env = TransformedEnv(Pair(action=OneHot(3)), Stack([], "unused", "action", keys, dim=-2))
    assert env.action_spec == OneHot(3, shape=(2, 3))
    with pytest.raises(
        TransformError, match=r"'action' would destroy the encoding of .*, a OneHot \[3\]. Stack one-hot actions"
    ):
        TransformedEnv(Pair(action=OneHot(3)), Stack([], "unused", "action", keys))


def test_rewards_of_agents() -> None:
    keys = [("agent_0", "reward"), ("agent_1", "reward")]
    env = TransformedEnv(Pair(), Stack(keys, "reward"))
    assert env.reward_keys == ["reward"]
    assert env.rollout(2)["next", "reward"].shape == (2, 1, 2)


def test_a_state_that_is_not_seen_any_more_goes_on() -> None:
    env = TransformedEnv(StatelessEnv(goal=99.0), Stack(["position"], "seen"))
    data = env.rollout(4, lambda td: td.set("action", torch.ones(1)))
    assert data["next", "seen"].flatten().tolist() == [1, 2, 3, 4]
    assert "position" not in data


def make_stacked() -> Env:
    return TransformedEnv(Pair(), Stack(**GROUPS))


def test_in_workers() -> None:
    with ParallelEnv(2, make_stacked) as env, SerialEnv(2, make_stacked) as serial:
        assert torch.equal(
            env.rollout(5, break_when_any_done=False)["agents", "obs"],
            serial.rollout(5, break_when_any_done=False)["agents", "obs"],
        )


def test_on_tensordicts() -> None:
    """The examples of TorchRL's docstring."""
    td = TensorDict({"key1": torch.zeros(3), "key2": torch.ones(3)})
    assert Stack(in_keys=["key1", "key2"], out_key="out", dim=-2)(td)["out"].tolist() == [[0] * 3, [1] * 3]
    assert td.keys() == {"out"}
    groups = {f"agent_{i}": TensorDict({"obs": torch.rand(4, 5), "reward": torch.zeros(1)}) for i in range(2)}
    stacked = Stack(in_keys=["agent_0", "agent_1"], out_key="agents")(TensorDict(groups))
    assert stacked["agents"].batch_size == (2,)
    assert stacked["agents", "obs"].shape == (2, 4, 5)


def test_there_and_back() -> None:
    data = Pair([2]).rollout(3)
    transform = Stack(**GROUPS)
    stacked = transform(data.clone())
    assert stacked["agents", "obs"].shape == (2, 3, 2, 3)
    assert ("next", "agents", "reward") in stacked.keys(True)
    back = transform.inv(stacked)
    assert "agents" not in back
    for key in (("agent_0", "obs"), ("agent_1", "action")):
        assert torch.equal(back[key], data[key])
    nested = Stack(["a", "b"], "c", "c", [("x", "a"), ("x", "b")], dim=0, allow_positive_dim=True)
    assert nested.inv(TensorDict(c=torch.arange(4).view(2, 2)))["x", "b"].tolist() == [2, 3]


def test_what_does_not_fit_is_named() -> None:
    for keys, options, message in (
        (
            ["observation", "reward"],
            {},
            r"in one family of entries .* Found {'observation': '.*', 'reward': 'missing'}",
        ),
        (["pixels"], {}, r"in_keys \['pixels'\] do not exist. The env has: .*observation"),
        (["observation"], {"out_key": "start"}, "'start' already exists"),
        (["observation"], {"dim": -3}, "dim -3 is not among the 2 dimensions that the stack has besides the batch"),
        ([], {"in_key_inv": "a", "out_keys_inv": ["b"]}, r"out_keys_inv \['b'\] do not exist. The env has: action"),
    ):
        with pytest.raises(TransformError, match=message):
            TransformedEnv(CountingEnv(9, [2]), Stack(keys, **{"out_key": "out", **options}))  # type: ignore[arg-type]
    with pytest.raises(TransformError, match=r"all of them entries or all of them groups. Found"):
        TransformedEnv(Pair(), Stack([("agent_0", "obs"), "agent_1"], "x"))
    with pytest.raises(TransformError, match=r"of one shape and dtype, found {'start': 'torch.float32 \[1\]', 'obs"):
        TransformedEnv(DoubleEnv(), Stack(["start", "observation"], "x"))
    td = TensorDict(a=torch.zeros(2), b=torch.zeros(3), c=torch.zeros(2))
    for keys, message in (
        (["a", "b"], r"expected entries of one shape, found {'a': \[2\], 'b': \[3\]}"),
        (["a", "z"], r"in_keys \['z'\] do not exist beside"),
        (["z"], r"in_keys \['z'\] do not exist, found \['a', 'b', 'c'\]"),
    ):
        with pytest.raises(TransformError, match=message):
            Stack(keys, "out")(td.clone())
    with pytest.raises(TransformError, match=r"'a' \[2\] is 2 entries along dim -1, expected one for each of \['x'\]"):
        Stack([], "out", "a", ["x"]).inv(td)


def test_misuse_is_named() -> None:
    with pytest.raises(TransformError, match="dim: expected a negative number, counted from the end, found 0"):
        Stack(["a"], "b", dim=0)
    with pytest.raises(TransformError, match=r"out_key 'a' is one of in_keys \['a'\]"):
        Stack(["a"], "a")
    with pytest.raises(ConfigError, match="in_key_inv: required together with out_keys_inv, but not given"):
        Stack(["a"], "b", out_keys_inv=["c"])
    with pytest.raises(ConfigError, match="in_keys: expected entries to stack, found none"):
        Stack([], "b")

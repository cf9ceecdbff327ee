"""Envs whose parts end, and begin anew, each for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli import (
    Binary,
    Categorical,
    Composite,
    EnvBase,
    InitTracker,
    ParallelEnv,
    SerialEnv,
    StepCounter,
    TransformedEnv,
    Unbounded,
    check_env_specs,
)
from envcli.envs.env import Env
from envcli.errors import SpecError

STEPS = 8
FIRST = [0, 1, 2, 0, 1, 2, 0, 1]  # what the agent whose episodes last 3 steps shows
SECOND = [0, 1, 2, 3, 4, 0, 1, 2]  # 5 steps; both as TorchRL 0.14 has it


class Agents(EnvBase):
    """Two agents that count the steps of their own episodes, which last 3 steps and 5; there is no flag for both."""

    def __init__(self, batch_size: Any = (), heedless: bool = False) -> None:
        super().__init__(batch_size=batch_size)
        self.inner = torch.Size([*self.batch_size, 2])
        self.observation_spec = self._of_agents(place=Unbounded([*self.inner, 1]))
        self.action_spec = self._of_agents(action=Categorical(2, shape=[*self.inner, 1]))
        self.reward_spec = self._of_agents(reward=Unbounded([*self.inner, 1]))
        self.full_done_spec = self._of_agents(done=Categorical(2, shape=[*self.inner, 1], dtype=torch.bool))
        self.heedless = heedless

    def _of_agents(self, **leaves: Any) -> Composite:
        return Composite(agents=Composite(leaves, shape=self.inner), shape=self.batch_size)

    def _seen(self, **entries: torch.Tensor) -> TensorDict:
        return TensorDict({"agents": TensorDict({"place": self.place.clone(), **entries}, self.inner)}, self.batch_size)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get(("agents", "_reset"), None)
        if mask is None:
            mask = torch.ones(*self.inner, 1, dtype=torch.bool)
        assert mask.shape == (*self.inner, 1)
        self.place = torch.where(mask, 0.0, self.place) if hasattr(self, "place") else torch.zeros(*self.inner, 1)
        return self._seen() if not self.heedless else self._seen().apply(lambda x: x * 0)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.place = self.place + 1
        return self._seen(
            reward=torch.ones(*self.inner, 1), done=self.place >= torch.tensor([[3.0], [5.0]]).expand(*self.inner, 1)
        )

    def _set_seed(self, seed: int | None) -> None:
        """It draws nothing."""


class Pair(EnvBase):
    """Two groups, each with a flag of its own, whose episodes last 2 steps and 3."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(
            a=Composite(place=Unbounded(1)), b=Composite(place=Unbounded(1)), resets=Unbounded(1)
        )
        flag = Binary(1, dtype=torch.bool)
        self.full_done_spec = Composite(a=Composite(done=flag), b=Composite(done=flag))
        self.action_spec = Categorical(2)
        self.places = {"a": 0, "b": 0}
        self.resets = 0

    def _seen(self) -> TensorDict:
        groups = {name: TensorDict({"place": torch.tensor([float(n)])}) for name, n in self.places.items()}
        return TensorDict({**groups, "resets": torch.tensor([float(self.resets)])})

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        masks = {} if tensordict is None else {name: tensordict.get((name, "_reset"), None) for name in self.places}
        given = {name: mask for name, mask in masks.items() if mask is not None}
        self.resets = self.resets + 1 if given else 1
        self.places = {name: n if given and not given[name] else 0 for name, n in self.places.items()}
        return self._seen()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.places = {name: n + 1 for name, n in self.places.items()}
        made = self._seen().set("reward", torch.ones(1))
        for name, limit in (("a", 2), ("b", 3)):
            made[name, "done"] = torch.tensor([self.places[name] >= limit])
        return made

    def _set_seed(self, seed: int | None) -> None:
        """It draws nothing."""


def places(data: TensorDictBase) -> list[list[float]]:
    """Of both agents in time, for the first env of a batch."""
    shown = data["agents", "place"].reshape(-1, STEPS, 2)[0]
    return shown.T.tolist()


def by_hand(env: Env) -> TensorDictBase:
    rows, moment = [], env.reset()
    for _ in range(STEPS):
        made, moment = env.step_and_maybe_reset(env.rand_action(moment))
        rows.append(made)
    return torch.stack(rows, env.ndim)


MAKERS: dict[str, Callable[[], Env]] = {
    "one": Agents,
    "a batch": lambda: Agents([3]),
    "heedless": lambda: Agents(heedless=True),
    "serial": lambda: SerialEnv(2, Agents),
    "serial batches": lambda: SerialEnv(2, lambda: Agents([3])),
    "processes": lambda: ParallelEnv(2, Agents),
}


class Whole(EnvBase):
    """Counts to 4, when all ends; its two agents have flags of their own beneath."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(place=Unbounded([1]))
        self.action_spec = Categorical(2, shape=[1])
        agents = Composite(done=Categorical(2, shape=[2, 1], dtype=torch.bool), shape=[2])
        self.full_done_spec = Composite(done=Categorical(2, shape=[1], dtype=torch.bool), agents=agents)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return TensorDict({"place": torch.zeros(1)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        place = tensordict["place"] + 1
        over = place >= 4
        agents = TensorDict({"done": over.expand(2, 1).clone()}, [2])
        return TensorDict({"place": place, "reward": torch.ones(1), "done": over, "agents": agents})

    def _set_seed(self, seed: int | None) -> None:
        """Nothing is drawn."""


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_only_the_part_that_ended_begins_anew(make: Callable[[], Env]) -> None:
    with make() as env:
        made = [env.rollout(STEPS, policy, break_when_any_done=False) for policy in (None, env.rand_action)]
        if isinstance(env, EnvBase):
            made.append(by_hand(env))
        for data in made:
            assert places(data) == [FIRST, SECOND]
            done = data["next", "agents", "done"].reshape(-1, STEPS, 2)[0]
            assert done.int().T.tolist() == [[0, 0, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0]]
            assert not data["agents", "done"].any()


def test_such_envs_keep_their_promises() -> None:
    for env in (Agents(), Agents([3]), Pair()):
        check_env_specs(env)


@pytest.mark.parametrize(
    "make", [*MAKERS.values(), lambda: TransformedEnv(Agents(), InitTracker())], ids=[*MAKERS.keys(), "transformed"]
)
def test_nested_tensordicts_have_the_batch_size_of_their_specs(make: Callable[[], Env]) -> None:
    seen: list[TensorDictBase] = []

    def acting(td: TensorDictBase) -> TensorDictBase:
        agents = td["agents"]
        seen.append(agents)
        action = torch.zeros(*agents.batch_size, 1, dtype=torch.int64)
        return td.set("agents", agents.set("action", action))

    with make() as env:
        batch = env.batch_size
        assert env.reset()["agents"].batch_size == (*batch, 2)
        assert env.fake_tensordict()["next", "agents"].batch_size == (*batch, 2)
        made = env.rand_step(env.reset())
        assert made["agents"].batch_size == made["next", "agents"].batch_size == (*batch, 2)
        for data in (env.rollout(2), env.rollout(2, acting), env.rollout(2, callback=lambda _, td: acting(td))):
            assert data["agents"].batch_size == data["next", "agents"].batch_size == (*batch, 2, 2)
        assert {agents.batch_size for agents in seen} == {(*batch, 2)}


def test_an_entry_of_a_group_that_counts_less_lowers_its_batch_size() -> None:
    def noting(td: TensorDictBase) -> TensorDictBase:
        agents = TensorDict({"action": torch.zeros(2, 1, dtype=torch.int64), "note": torch.zeros(3)})
        return td.set("agents", agents)

    assert Agents().rollout(2, noting)["agents"].batch_size == (2,)


def test_groups_that_end_each_for_itself() -> None:
    for make in (Pair, lambda: SerialEnv(1, Pair)):
        data = make().rollout(6, break_when_any_done=False).reshape(6)
        assert data["a", "place"].flatten().tolist() == [0, 1, 0, 1, 0, 1]
        assert data["b", "place"].flatten().tolist() == [0, 1, 2, 0, 1, 2]
        assert data["resets"].flatten().tolist() == [1, 1, 2, 3, 4, 4], "what is no group's is as the last reset says"


def test_a_rollout_goes_on_where_a_part_has_ended() -> None:
    env = Agents()
    moment = env.reset()
    for _ in range(3):
        moment = env.step_mdp(env.rand_step(moment))
    shown = env.rollout(2, tensordict=moment, auto_reset=False)["agents", "place"]
    assert shown.squeeze(-1).tolist() == [[0, 3], [1, 4]]


def test_who_begins_anew_as_a_whole_says_so() -> None:
    env = TransformedEnv(Agents(), InitTracker())
    with pytest.raises(SpecError, match=r"TransformedEnv cannot reset single agents, .*'agents', 'done'"):
        env.rollout(STEPS, break_when_any_done=False)
    assert len(env.rollout(STEPS)) == 3
    batch = SerialEnv(2, lambda: TransformedEnv(Agents(), InitTracker()))
    with batch, pytest.raises(SpecError, match="cannot reset single agents"):
        batch.rollout(STEPS, break_when_any_done=False)
    with SerialEnv(2, Agents) as batch:
        moment = batch.reset()
        moment["agents", "_reset"] = torch.tensor([[[True], [False]], [[True], [True]]])
        with pytest.raises(SpecError, match="SerialEnv cannot reset single agents"):
            batch.reset(moment)


def test_what_a_transform_adds_to_a_group_leaves_its_batch_size() -> None:
    env = TransformedEnv(Agents(), StepCounter())
    assert env.reset()["agents"].batch_size == (2,)
    assert env.rollout(2)["agents"].batch_size == (2, 2)


def test_a_flag_of_a_part_is_lowered_where_the_whole_begins_anew() -> None:
    env = TransformedEnv(Whole(), StepCounter(3, ("agents", "truncated"), ("agents", "count")))
    data = env.rollout(10, break_when_any_done=False)
    moment, by_hand = env.reset(), []
    for _ in range(10):
        by_hand.append(moment["agents", "truncated"].any().item())
        _, moment = env.step_and_maybe_reset(env.rand_action(moment))
    assert data["agents", "truncated"].flatten(1).any(1).tolist() == by_hand
    assert any(by_hand)

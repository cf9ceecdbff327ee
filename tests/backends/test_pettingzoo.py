"""PettingZoo as a backend: the contract on agents that count, and PettingZoo's own loop bit for bit."""

from __future__ import annotations

import copy
import importlib.util
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envcli.agent_groups import MarlGroupMapType
from envcli.backends.pettingzoo import PettingZooEnv, PettingZooWrapper
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, EnvError, MissingDependency, SpecError
from envcli.make import make_env
from envcli.specs import Bounded, Categorical, OneHot, Unbounded
from envcli.testing import EnvContract
from envcli.testing.zoo_toys import CountingAgents, CountingTurns
from envcli.transforms.compose import Compose
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from tests.batch.test_parallel_env import BatchContract

AGENTS = ["runner_0", "runner_1", "judge"]
needs_zoo = pytest.mark.skipif(
    importlib.util.find_spec("pettingzoo") is None, reason="pettingzoo is not installed (extra pettingzoo)"
)


def agents(**options: Any) -> PettingZooWrapper:
    """Three that end after 3, 5 and 7 steps, in the groups runner and judge."""
    return PettingZooWrapper(CountingAgents(), use_mask=True, **options)


def turns(**options: Any) -> PettingZooWrapper:
    return PettingZooWrapper(CountingTurns(), use_mask=True, **options)


class TestAgents(EnvContract):
    def make_env(self) -> Env:
        return agents(done_on_any=False, checks="full")


class TestAgentsUntilTheFirstEnds(EnvContract):
    def make_env(self) -> Env:
        return PettingZooWrapper(CountingAgents(), return_state=True, categorical_actions=False, device="cpu")


class TestAgentsThatRepeat(EnvContract):
    def make_env(self) -> Env:
        return agents(done_on_any=False, frame_skip=2, group_map=MarlGroupMapType.ALL_IN_ONE_GROUP)


class TestAgentsInPixels(EnvContract):
    def make_env(self) -> Env:
        return agents(from_pixels=True)


class TestTurns(EnvContract):
    def make_env(self) -> Env:
        return turns()


class TestTurnsOfOneGroup(EnvContract):
    def make_env(self) -> Env:
        return turns(group_map="all_in_one_group", categorical_actions=False, done_on_any=True)


class TestSeveral(BatchContract):
    def make_env(self) -> Env:
        return SerialEnv(3, partial(agents, done_on_any=False))


class TestTransformed(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(turns(), StepCounter(max_steps=4))


# -- what there is ----------------------------------------------------------------------------------------------------


def test_entries_are_stacked_by_group() -> None:
    env = agents(return_state=True)
    assert env.group_map == {"runner": ["runner_0", "runner_1"], "judge": ["judge"]}
    assert env.parallel
    assert env.done_on_any
    shown = env.rand_step(env.reset())
    assert {key: tuple(shown[key].shape) for key in shown.keys(True, True) if key[0] == "runner"} == {
        ("runner", "observation"): (2, 2),
        ("runner", "info", "steps"): (2,),
        ("runner", "mask"): (2,),
        ("runner", "done"): (2, 1),
        ("runner", "terminated"): (2, 1),
        ("runner", "truncated"): (2, 1),
        ("runner", "action"): (2,),
    }
    assert shown["next", "runner", "reward"].shape == (2, 1)
    assert shown["runner"].batch_size == shown["next", "runner", "info"].batch_size == (2,)
    assert shown["next", "done"].shape == (1,)
    assert shown["next", "state"].tolist() == [1, 3]
    assert env.observation_spec["state"] == Unbounded([2], dtype=torch.int64)
    assert env.action_spec["runner", "action"] == Categorical(3, shape=[2])
    assert agents(categorical_actions=False).action_spec["judge", "action"] == OneHot(3, [1, 3], dtype=torch.int64)


def test_a_group_map_says_who_stands_where() -> None:
    env = agents(group_map={"late": ["judge", "runner_1"], "early": ["runner_0"]}, done_on_any=False)
    data = env.rollout(10)
    assert data["next", "late", "done"][..., 0].tolist() == [[t >= 7, t >= 5] for t in range(1, 8)]
    for way in (MarlGroupMapType.ONE_GROUP_PER_AGENT, "one_group_per_agent"):
        assert list(agents(group_map=way).group_map) == AGENTS
    assert turns().group_map == {"left": ["left"], "right": ["right"]}
    with pytest.raises(ConfigError, match="group_map: agent 'judge' is in no group"):
        agents(group_map={"runner": AGENTS[:2]})


def test_attributes_are_those_of_the_simulator() -> None:
    env = agents()
    env.reset()
    assert env.possible_agents == env.agents == AGENTS
    assert env.step_seconds == 0.1
    assert repr(env) == "PettingZooWrapper(env=counting, batch_size=torch.Size([]), device=None)"
    env.close()
    assert env.limits["judge"] == 7
    assert env.closed == 1


# -- agents that end at different times -------------------------------------------------------------------------------


def test_who_is_gone_is_shown_zeros_and_masked() -> None:
    torch.manual_seed(0)
    env = agents(done_on_any=False)
    env.set_seed(2)
    data = env.rollout(20)
    following = data["next"]
    assert data.shape == (7,)  # until the last has ended
    runner, judge = following["runner"], following["judge"]
    assert runner["mask"].tolist() == [[t < 3, t < 5] for t in range(1, 8)]
    assert data["runner", "mask"][0].all()
    assert judge["mask"][:, 0].tolist() == [True] * 6 + [False]
    assert runner["observation"][:, 0, 0].tolist() == [1, 2, 3, 0, 0, 0, 0]
    assert runner["info", "steps"][:, 1].tolist() == [1, 2, 3, 4, 5, 0, 0]
    paid = data["runner", "action"].where(torch.arange(7)[:, None] < torch.tensor([3, 5]), 0)
    assert torch.equal(runner["reward"][..., 0], paid.float())
    assert runner["terminated"][..., 0].tolist() == [[t >= 3, t >= 5] for t in range(1, 8)]
    assert runner["truncated"][..., 0].tolist() == [[t > 3, t > 5] for t in range(1, 8)]  # gone: both, as in TorchRL
    assert following["done"][:, 0].tolist() == following["terminated"][:, 0].tolist() == [False] * 6 + [True]
    assert not following["truncated"].any()
    with pytest.raises(EnvError, match=r"runner_0 is absent, and nothing marks it.* Type: backend.use_mask=true"):
        PettingZooWrapper(CountingAgents(), done_on_any=False).rollout(20)


def test_the_first_end_is_that_of_all_unless_told() -> None:
    data = agents().rollout(20, break_when_any_done=False)
    assert data["next", "terminated"][:, 0].nonzero().flatten().tolist() == [2, 5, 8, 11, 14, 17]
    assert data["runner", "observation"][:, 1, 0].tolist() == [t % 3 for t in range(20)]
    assert not data["runner", "done"].any()


@pytest.mark.parametrize(
    ("limits", "time_limit", "expected"),
    [
        ({"a": 5, "b": 5}, None, (5, True, False)),
        ({"a": 9, "b": 9}, 4, (4, False, True)),
        ({"a": 2, "b": 4}, 4, (4, True, True)),
        ({"a": 4, "b": 9}, 4, (4, False, True)),  # a terminated and truncated, b truncated
        ({"a": 2, "b": 9}, 4, (4, False, True)),
    ],
)
def test_the_end_of_all_is_of_the_kind_that_all_have(limits: Any, time_limit: Any, expected: Any) -> None:
    data = PettingZooWrapper(CountingAgents(limits, time_limit), use_mask=True, done_on_any=False).rollout(20)
    ended = data["next"][-1]
    assert (len(data), bool(ended["terminated"]), bool(ended["truncated"])) == expected


def test_some_terminated_and_others_truncated_is_truncated() -> None:
    class Apart(CountingAgents):
        def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
            shown, rewards, _, _, infos = super().step(actions)
            return shown, rewards, {"a": True, "b": False}, {"a": False, "b": True}, infos

    ended = PettingZooWrapper(Apart({"a": 1, "b": 1}), done_on_any=False).rollout(5)["next"][-1]
    assert [bool(ended[name]) for name in ("done", "terminated", "truncated")] == [True, False, True]


def test_someone_who_acts_and_is_shown_nothing_is_a_fault() -> None:
    class Blind(CountingAgents):
        def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
            shown, *others = super().step(actions)
            shown.pop("judge")
            return shown, *others  # type: ignore[return-value]

    with pytest.raises(EnvError, match="judge is an acting agent, but the simulator gives it no observation"):
        PettingZooWrapper(Blind(), use_mask=True).rollout(5)


# -- turns ------------------------------------------------------------------------------------------------------------


def test_one_acts_at_a_time_and_only_as_its_mask_allows() -> None:
    torch.manual_seed(1)
    env = turns()
    data = env.rollout(60, break_when_any_done=False)
    masks = torch.cat([data[who, "mask"] for who in ("left", "right")], -1)
    assert (masks.sum(-1) == 1).all()
    for i, who in enumerate(("left", "right")):
        acts, forbidden = masks[:, i], data[who, "observation", "numbers"][:, 0, 0].to(torch.int64) % 3
        assert (data[who, "action"][acts, 0] != forbidden[acts]).all()
        assert (data[who, "action_mask"][acts].sum(-1) == 2).all()
        assert data[who, "action_mask"][~acts].all()
        paid = torch.where(acts, data[who, "action"][:, 0], 0)
        assert torch.equal(data["next", who, "reward"][:, 0, 0], paid.float())
        assert set(data[who, "action"][acts, 0].tolist()) == {0, 1, 2}
    assert data["next", "done"].sum() == 8  # of 7 turns each
    assert env.has_action_mask == {"left": True, "right": True}


def test_an_action_that_the_mask_forbids_is_refused() -> None:
    env = turns()
    shown = env.reset()
    shown["left", "action"], shown["right", "action"] = torch.tensor([0]), torch.tensor([0])
    with pytest.raises(ActionError, match=r"left.action: expected .*found \[0\], which left.action_mask forbids"):
        env.step(shown)
    shown["left", "action"] += 1
    assert env.step(shown)["next", "left", "reward"].tolist() == [[1.0]]  # what right does is not looked at


def test_an_action_mask_in_infos_is_one_too() -> None:
    class Told(CountingAgents):
        def _infos(self) -> dict[str, Any]:
            return {agent: {"action_mask": np.arange(3) == self.count % 3} for agent in self.agents}

    data = PettingZooWrapper(Told(), use_mask=True, done_on_any=False).rollout(7)
    assert data["judge", "action"][:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert data["next", "runner", "action_mask"][3, 0].all()  # gone
    assert ("judge", "info") not in data.keys(True)


# -- simulators -------------------------------------------------------------------------------------------------------


def test_observations_of_any_space_are_shown_as_what_they_are() -> None:
    class Numbers(CountingAgents):
        def observation_space(self, agent: str) -> Any:
            return spaces.Discrete(9) if agent == "judge" else spaces.Dict({"n": spaces.Box(0, 9, (), np.float64)})

        def _shown(self) -> dict[str, Any]:
            return {a: self.count if a == "judge" else {"n": np.float64(self.count)} for a in self.agents}

    data = PettingZooWrapper(Numbers(), use_mask=True, done_on_any=False, checks="full").rollout(7)
    assert data["next", "judge", "observation"].argmax(-1)[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert data["next", "runner", "observation", "n"][:, 0, 0].tolist() == [1, 2, 3, 0, 0, 0, 0]
    ended = PettingZooWrapper(Numbers({"judge": 1, "b": 2}), use_mask=True, done_on_any=False).rollout(5)["next"][-1]
    assert ended["judge", "observation"].tolist() == [[True, *[False] * 8]]  # the zero of a one-hot vector


def test_answers_are_held_against_what_is_announced() -> None:
    class Short(CountingAgents):
        def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
            shown, *others = super().step(actions)
            return {agent: value[:1] for agent, value in shown.items()}, *others  # type: ignore[return-value]

    with pytest.raises(SpecError, match=r"counting step: runner_0: observation: expected shape \(2,\)"):
        PettingZooWrapper(Short()).rollout(3)
    assert len(PettingZooWrapper(Short(), checks="off").rollout(3)) == 3


def test_frames_stand_beside_the_agents_or_alone() -> None:
    data = agents(from_pixels=True, pixels_only=False).rollout(3)
    assert data["next", "pixels"].shape == (3, 8, 12, 3)
    assert data["next", "pixels"][:, 0, 0, 0].tolist() == [1, 2, 3]
    assert ("runner", "observation") in data.keys(True)
    alone = agents(from_pixels=True, return_state=True).observation_spec
    assert isinstance(alone["pixels"], Bounded)
    assert ("runner", "mask") in alone.keys(True)
    assert ("runner", "observation") not in alone.keys(True)
    assert "state" not in alone


def test_a_seed_is_that_of_the_first_reset() -> None:
    seeded = agents(seed=4)
    assert seeded.seed == 4
    other = agents()
    other.set_seed(4)
    first, second = seeded.reset(), seeded.reset()
    assert torch.equal(first["judge", "observation"], other.reset()["judge", "observation"])
    assert not torch.equal(first["judge", "observation"], second["judge", "observation"])
    assert first["judge", "observation"][0, 1] == np.float32(np.random.default_rng(4).random())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PettingZooWrapper(CountingTurns()), "use_mask: turns has agents that take turns.*Type: use_mask=true"),
        (lambda: turns(frame_skip=2), "frame_skip: turns has agents that take turns"),
        (lambda: turns(return_state=True), "return_state: turns has no state: AttributeError.*return_state=false"),
        (lambda: agents(batch_size=[3]), "batch_size: .*a PettingZooWrapper is a single env"),
        (lambda: agents(group_map="pairs"), "group_map: found 'pairs', expected all_in_one_group"),
        (lambda: PettingZooWrapper(gymnasium.Env()), "PettingZooWrapper: expected a pettingzoo.ParallelEnv or AECEnv"),
        (lambda: turns(from_pixels=True), "from_pixels: turns renders no frames: AttributeError"),
    ],
)
def test_what_cannot_be_is_said_at_construction(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


# -- many, and transforms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [partial(agents, done_on_any=False), turns], ids=["rounds", "turns"])
def test_workers_change_no_bit(make: Any, fork_server: None) -> None:
    runs = []
    for env in (SerialEnv(4, make), ParallelEnv(4, make, num_workers=1), ParallelEnv(4, make, num_workers=3)):
        with env:
            torch.manual_seed(0)
            env.set_seed(6)
            runs.append(env.rollout(25, break_when_any_done=False))
    for other in runs[1:]:
        assert set(other.keys(True, True)) == set(runs[0].keys(True, True))
        assert (other == runs[0]).all()
    group = next(key[0] for key in runs[0].keys(True, True) if isinstance(key, tuple) and key[0] != "next")
    assert runs[0][group].batch_size[:2] == (4, 25)
    assert runs[0]["next", "done"].any()


def test_transforms_take_nested_keys() -> None:
    chain = Compose(RewardSum(in_keys=[("runner", "reward")]), StepCounter(), InitTracker())
    env = TransformedEnv(agents(done_on_any=False), chain)
    torch.manual_seed(0)
    data = env.rollout(14, break_when_any_done=False)
    paid = data["next", "runner", "reward"]
    for episode in (slice(0, 7), slice(7, 14)):
        assert torch.equal(data["next", "runner", "episode_reward"][episode], paid[episode].cumsum(0))
        assert data["next", "step_count"][episode, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert data["is_init"][:, 0].tolist() == [t % 7 == 0 for t in range(14)]


def test_a_copy_goes_its_own_way() -> None:
    env = agents()
    env.rollout(2)
    other = copy.deepcopy(env)
    for one in (env, other):
        one.set_seed(3)
    assert torch.equal(env.reset()["judge", "observation"], other.reset()["judge", "observation"])


def test_it_is_a_backend_and_needs_a_package() -> None:
    words = ("backend=pettingzoo", "backend.name=no_such_v9")
    kind = MissingDependency if importlib.util.find_spec("pettingzoo") is None else LookupError
    with pytest.raises(kind, match=r"[pP]etting[zZ]oo"):
        make_env(*words)


# -- PettingZoo's own -------------------------------------------------------------------------------------------------


@needs_zoo
@pytest.mark.parametrize("task", ["mpe/simple_tag_v3", "butterfly/knights_archers_zombies_v11"])
def test_rounds_are_what_the_bare_loop_gives(task: str) -> None:
    pytest.importorskip("mpe2")
    torch.manual_seed(0)
    with PettingZooEnv(task, use_mask=True, done_on_any=False, return_state=True) as env:
        env.set_seed(5)
        data = env.rollout(150)
    with PettingZooEnv(task) as other:  # a second episode of this game depends on the first, whatever the seed
        native = other._env
        observations, _ = native.reset(seed=5)
        for t in range(len(data)):
            actions = {}
            for group, names in env.group_map.items():
                for i, name in enumerate(names):
                    assert bool(data[group, "mask"][t, i]) == (name in native.agents)
                    if name in observations:
                        assert data[group, "observation"][t, i].numpy().tolist() == observations[name].tolist()
                    actions[name] = int(data[group, "action"][t, i])
            observations, rewards, over, cut, _ = native.step({name: actions[name] for name in native.agents})
            assert torch.equal(data["next", "state"][t], torch.as_tensor(native.state()))
            for group, names in env.group_map.items():
                for i, name in enumerate(names):
                    if name in rewards:
                        assert data["next", group, "reward"][t, i, 0] == np.float32(rewards[name])
                        ends = [bool(data["next", group, flag][t, i, 0]) for flag in ("terminated", "truncated")]
                        assert ends == [over[name], cut[name]]
    assert data["next", "done"][-1].all() or len(data) == 150


@needs_zoo
def test_turns_are_what_the_bare_loop_gives() -> None:
    torch.manual_seed(0)
    with PettingZooEnv("tictactoe_v3", parallel=False, use_mask=True) as env:
        data = env.rollout(20)
        native = env._env
        native.reset()
        for t in range(len(data)):
            turn = native.agent_selection
            seen = native.observe(turn)
            assert data[turn, "mask"][t].tolist() == [True]
            assert data[turn, "action_mask"][t, 0].tolist() == seen["action_mask"].astype(bool).tolist()
            assert data[turn, "observation", "observation"][t, 0].tolist() == seen["observation"].tolist()
            native.step(int(data[turn, "action"][t, 0]))
            for name in native.possible_agents:
                assert data["next", name, "reward"][t, 0, 0] == native.rewards[name]
    assert 5 <= len(data) <= 9
    assert data["next", "terminated"][-1].all()


@needs_zoo
@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("mpe/simple_tag_v3", {"return_state": True, "categorical_actions": False}),
        ("butterfly/knights_archers_zombies_v11", {"use_mask": True, "done_on_any": False}),
        ("classic/connect_four_v3", {"parallel": False, "use_mask": True}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_entries_are_those_of_torchrl(task: str, options: dict[str, Any]) -> None:
    theirs_in = pytest.importorskip("torchrl.envs.libs.pettingzoo", reason="torchrl is not installed (extra peers)")
    pytest.importorskip("mpe2")
    given = {key: value for key, value in options.items() if key != "parallel"}
    torch.manual_seed(0)
    with PettingZooEnv(task, **options) as ours, PettingZooEnv(task, **options) as other:
        theirs = theirs_in.PettingZooWrapper(other._env, **given)
        ours.set_seed(3)
        shown, seen = ours.reset(), theirs.reset(seed=3)
        for _ in range(100):
            assert set(shown.keys(True, True)) == set(seen.keys(True, True))
            assert (shown == seen).all()
            ours.rand_action(shown)
            for key in ours.action_keys:
                seen.set(key, shown[key].clone())
            shown, seen = ours.step(shown)["next"], theirs.step(seen)["next"]
            assert all(shown[key].dtype == seen[key].dtype for key in seen.keys(True, True))
            if shown["done"].any():
                break
            for key in ours.reward_keys:
                assert torch.equal(shown.pop(key), seen.pop(key))


def test_a_yaml_has_no_second_seed() -> None:
    with pytest.raises(ConfigError, match=r"_v9 does not take these options: seed. Type seed=... by itself$"):
        PettingZooEnv.from_name("multiwalker_v9", seed=3)
    with pytest.raises(ConfigError, match=r"does not take these options: batch_size, seed. Type seed"):
        PettingZooEnv.from_name("multiwalker_v9", seed=3, batch_size=[2])

"""VMAS as a backend: the contract, VMAS's own loop bit for bit, and TorchRL's class of the same name."""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase

from envcli.agent_groups import MarlGroupMapType
from envcli.backends.vmas import VmasEnv, VmasWrapper
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, UnknownName
from envcli.make import make_env
from envcli.specs import Bounded, Categorical, MultiOneHot, OneHot, Unbounded
from envcli.testing import EnvContract
from envcli.transforms.reward_sum import RewardSum
from envcli.vmas.library import vmas_library
from tests.batch.test_parallel_env import BatchContract

if importlib.util.find_spec("vmas") is None:
    pytest.skip("vmas is not installed (extra vmas)", allow_module_level=True)

vmas = vmas_library()
core = vmas.simulator.core


class Clock(vmas.simulator.scenario.BaseScenario):  # type: ignore[misc]  # the library has no annotations
    """Two agents, of whom one may only wait, are shown the steps so far and a die of each reset; 3 steps are an end."""

    def make_world(self, batch_dim: int, device: Any, **options: Any) -> Any:
        self.other_size = options.pop("other_size", 0)
        vmas.simulator.utils.ScenarioUtils.check_kwargs_consumed(options)
        world = core.World(batch_dim, device)
        for name in ("first", "second"):
            world.add_agent(core.Agent(name=name))
        self.told = torch.zeros(batch_dim)
        return world

    def reset_world_at(self, env_index: int | None = None) -> None:
        which = slice(None) if env_index is None else env_index
        if env_index is None:
            self.steps, self.die = torch.zeros(2, self.world.batch_dim)
        self.steps[which], self.die[which] = 0, torch.rand(())

    def post_step(self) -> None:
        self.steps = self.steps + 1
        self.told = self.steps * 10

    def observation(self, agent: Any) -> Any:
        size = self.other_size if agent.name == "second" else 0
        mask = torch.ones(self.world.batch_dim, 9, dtype=torch.bool)
        mask[:, 1:] = agent.name == "first"
        die = self.die.unsqueeze(-1).expand(-1, 1 + size)
        return {"steps": self.steps.unsqueeze(-1), "die": die, "action_mask": mask}

    def reward(self, agent: Any) -> Any:
        return self.steps * (1 if agent.name == "first" else -1)

    def done(self) -> Any:
        return self.steps >= 3

    def info(self, agent: Any) -> Any:
        return {"of_step": self.told, "now": self.steps + 1} if agent.name == "first" else {"now": self.steps + 1}


def clock(num_envs: int = 2, **options: Any) -> VmasEnv:
    return VmasEnv(Clock(), num_envs=num_envs, continuous_actions=False, **options)


def navigation(num_envs: int = 3, **options: Any) -> VmasEnv:
    return VmasEnv("navigation", num_envs=num_envs, **{"max_steps": 4, "n_agents": 2, **options})


def rollout(env: Env, steps: int = 9) -> TensorDictBase:
    torch.manual_seed(0)
    return env.rollout(steps, break_when_any_done=False)


def require_equal(one: TensorDictBase, other: TensorDictBase) -> None:
    assert {*one.keys(True, True)} == {*other.keys(True, True)}
    for key in one.keys(True, True):
        torch.testing.assert_close(one[key], other[key], rtol=0, atol=0, equal_nan=True, msg=str(key))


class TestNavigation(EnvContract):
    def make_env(self) -> Env:
        return navigation()


class TestGroupsThatRepeatTheirChoices(EnvContract):
    def make_env(self) -> Env:
        options = {"continuous_actions": False, "categorical_actions": False, "terminated_truncated": True}
        return VmasEnv("simple_tag", num_envs=2, max_steps=7, frame_skip=2, device="cpu", **options)


class TestSeveralChoices(EnvContract):
    def make_env(self) -> Env:
        options = {"continuous_actions": False, "multidiscrete_actions": True, "categorical_actions": False}
        return VmasEnv("simple_world_comm", num_envs=2, **options)


class TestClock(EnvContract):
    def make_env(self) -> Env:
        return clock()


class TestWrapped(EnvContract):
    def make_env(self) -> Env:
        with torch.random.fork_rng():
            native = vmas.make_env("balance", num_envs=2, max_steps=5, dict_spaces=True, grad_enabled=True)
        return VmasWrapper(native, group_map="one_group_per_agent")


class TestTransformed(EnvContract):
    def make_env(self) -> Env:
        env = navigation()
        return TransformedEnv(env, RewardSum(in_keys=[env.reward_key], out_keys=[("agents", "episode_reward")]))


class TestBatches(BatchContract):
    def make_env(self) -> Env:
        return SerialEnv(2, navigation)


# -- what there is ----------------------------------------------------------------------------------------------------


def test_entries_are_stacked_by_group() -> None:
    env = navigation()
    assert env.group_map == {"agents": ["agent_0", "agent_1"]}
    assert (env.num_envs, env.n_agents, env.max_steps) == (3, 2, 4)
    assert (env.action_key, env.reward_key, env.done_keys) == (
        ("agents", "action"),
        ("agents", "reward"),
        ["done", "terminated"],
    )
    shown = env.rand_step(env.reset())
    assert {key[1:]: tuple(value.shape) for key, value in shown["next"].items(True, True) if key[0] == "agents"} == {
        ("observation",): (3, 2, 18),
        ("info", "pos_rew"): (3, 2, 1),
        ("info", "final_rew"): (3, 2, 1),
        ("info", "agent_collisions"): (3, 2, 1),
        ("reward",): (3, 2, 1),
    }
    assert shown["next", "agents"].batch_size == shown["agents", "info"].batch_size == (3, 2)
    assert env.full_action_spec_unbatched["agents", "action"] == Bounded(-1, 1, shape=[2, 2])
    assert env.full_reward_spec["agents", "reward"] == Unbounded([3, 2, 1])
    assert env.step_seconds == pytest.approx(0.1)


def test_actions_may_be_choices() -> None:
    def spec(**options: Any) -> Any:
        env = VmasEnv("simple_reference", num_envs=1, continuous_actions=False, **options)
        return env.full_action_spec_unbatched["agents", "action"]

    assert spec() == Categorical(90, shape=[2])
    assert spec(categorical_actions=False) == OneHot(90, [2, 90], dtype=torch.int64)
    side_by_side = spec(categorical_actions=False, multidiscrete_actions=True)
    assert side_by_side == MultiOneHot([3, 3, 10], shape=[2, 16], dtype=torch.int64)


def test_groups_are_by_name_unless_a_map_says_who_stands_where() -> None:
    assert list(VmasEnv("simple_tag").group_map) == ["adversary", "agent"]
    assert clock().group_map == {"agents": ["first", "second"]}
    assert list(navigation(group_map=MarlGroupMapType.ONE_GROUP_PER_AGENT).group_map) == ["agent_0", "agent_1"]
    env = navigation(group_map={"b": ["agent_1"], "a": ["agent_0"]})
    one, other = rollout(env.set_seed(1) and env), rollout(navigation(seed=1))
    assert list(env.group_map) == ["b", "a"]
    torch.testing.assert_close(one["b", "observation"][:, 0, 0], other["agents", "observation"][:, 0, 1])


def test_a_mask_in_an_observation_says_what_is_allowed() -> None:
    env = clock(num_envs=20)
    data = env.rollout(3)
    assert data["agents", "action_mask"].shape == (20, 3, 2, 9)
    assert (data["agents", "action"][..., 1] == 0).all()
    assert (data["agents", "action"][..., 0] > 0).any()
    state = env.reset()
    with pytest.raises(ActionError, match="action"):
        env.step(state.set(("agents", "action"), torch.ones(20, 2, dtype=torch.int64)))


# -- what happens -----------------------------------------------------------------------------------------------------


def test_an_env_is_what_vmas_itself_makes_of_its_seed() -> None:
    env = navigation(seed=3)
    data = rollout(env, 7)
    with torch.random.fork_rng():
        native = vmas.make_env("navigation", num_envs=3, max_steps=4, n_agents=2)
        observations = native.reset(seed=3)
    for t in range(7):
        for i in range(2):
            assert torch.equal(data["agents", "observation"][:, t, i], observations[i])
        observations, rewards, done, infos = native.step(list(data["agents", "action"][:, t].unbind(1)))
        for i in range(2):
            assert torch.equal(data["next", "agents", "observation"][:, t, i], observations[i])
            assert torch.equal(data["next", "agents", "reward"][:, t, i, 0], rewards[i])
            assert torch.equal(data["next", "agents", "info", "pos_rew"][:, t, i, 0], infos[i]["pos_rew"])
        assert torch.equal(data["next", "done"][:, t, 0], done)
        if done.all():
            observations = native.reset()


def test_an_end_is_terminated_unless_vmas_tells_the_horizon_from_it() -> None:
    data = rollout(clock(max_steps=2), 4)
    assert data["next", "done"][0, :, 0].tolist() == data["next", "terminated"][0, :, 0].tolist() == [0, 1, 0, 1]
    data = rollout(clock(max_steps=2, terminated_truncated=True), 4)
    assert data["next", "truncated"][0, :, 0].tolist() == [0, 1, 0, 1]
    assert not data["next", "terminated"].any()
    data = rollout(clock(max_steps=3, terminated_truncated=True), 4)
    assert data["next", "truncated"][0, :, 0].tolist() == data["next", "terminated"][0, :, 0].tolist() == [0, 0, 1, 0]


def test_a_reset_of_some_leaves_the_others_alone_and_tells_nothing_of_their_last_step() -> None:
    env = clock(num_envs=3)
    state = env.step_mdp(env.rand_step(env.rand_step(env.reset())["next"].exclude("reward")))
    before = state.clone()
    state = env.reset(state.set("_reset", torch.tensor([[False], [True], [False]])))
    assert state["agents", "observation", "steps"][:, 0, 0].tolist() == [2, 0, 2]
    assert torch.equal(state["agents", "observation", "die"][[0, 2]], before["agents", "observation", "die"][[0, 2]])
    assert state["agents", "info", "of_step"][..., 0].tolist() == [[20, 0], [0, 0], [20, 0]]
    assert state["agents", "info", "now"][..., 0].tolist() == [[3, 3], [1, 1], [3, 3]]


def test_repeated_actions_earn_until_the_end() -> None:
    data = rollout(clock(frame_skip=2), 3)
    assert data["next", "agents", "reward"][0, :, 0, 0].tolist() == [1 + 2, 3, 1 + 2]
    assert data["next", "agents", "observation", "steps"][0, :, 0, 0].tolist() == [2, 3, 2]
    assert data["next", "done"][0, :, 0].tolist() == [False, True, False]


def test_the_same_seed_gives_the_same_bits_whatever_else_draws() -> None:
    env, other = clock(seed=1), clock(seed=1)
    first = rollout(env)
    other.reset()
    for _ in range(3):
        clock().rollout(2)
    other.set_seed(1)
    torch.manual_seed(5)
    require_equal(first, rollout(other))
    assert not torch.equal(first["agents", "observation", "die"], rollout(other)["agents", "observation", "die"])
    states = torch.random.get_rng_state()
    env.reset()
    assert torch.equal(torch.random.get_rng_state(), states)
    assert env.set_seed(10) == 3316746426


def test_frames_are_what_vmas_draws() -> None:
    try:
        env = navigation(num_envs=2, from_pixels=True, pixels_only=False)
    except ConfigError as error:
        pytest.skip(str(error))
    with env:
        shown = env.reset()
        assert shown["pixels"].shape == (2, 700, 700, 3)
        assert len(shown["pixels"].unique()) > 2
        assert ("agents", "observation") in shown.keys(True, True)
        assert "pixels" in env.rand_step(shown)["next"]


def test_where_nothing_can_be_drawn_it_says_so_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(*args: Any, **options: Any) -> None:
        raise OSError("no\ndisplay.")

    monkeypatch.setattr(vmas.simulator.environment.Environment, "render", render)
    with pytest.raises(ConfigError, match=r"^from_pixels: navigation cannot be drawn here: OSError: no display in"):
        navigation(from_pixels=True)


# -- what is typed ----------------------------------------------------------------------------------------------------


def test_a_yaml_makes_it() -> None:
    with make_env(
        "env=navigation", "parallel.num_envs=2", "backend.options.n_agents=3", "backend.group_map=all_in_one_group"
    ) as env:
        assert env.rollout(2)["agents", "action"].shape == (2, 2, 3, 2)


def test_every_scenario_is_known() -> None:
    names = VmasEnv.available_names()
    assert names == sorted(names) == VmasEnv.available_envs
    assert {"navigation", "simple_tag", "waterfall"} <= {*names}
    with pytest.raises(UnknownName, match=r"no scenario of VMAS 'navigaton'. Did you mean 'navigation'"):
        VmasEnv("navigaton")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(navigation, n_agentz=3), r"^navigation does not take these options: 'n_agentz': 3$"),
        (partial(VmasEnv, "balance", n_agents="x"), "balance cannot be made with .*n_agents"),
        (partial(navigation, max_steps=0), "max_steps"),
        (partial(navigation, 0), "num_envs"),
        (partial(navigation, batch_size=[4]), r"batch_size: found \[4\], but the env of VMAS has \[3\]"),
        (partial(navigation, group_map="by_colour"), "group_map: found 'by_colour'"),
        (partial(clock, other_size=1), "but a group is stacked.*group_map=one_group_per_agent"),
        (partial(VmasWrapper, 3), "expected an Environment of VMAS, found builtins.int"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_reset_takes_no_options() -> None:
    with pytest.raises(ConfigError, match="VMAS takes no options, found speed"):
        navigation().reset(speed=3)


# -- TorchRL ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # TorchRL's own, and gym's
@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        ("navigation", {"n_agents": 2}),
        ("balance", {"continuous_actions": False}),
        ("simple_tag", {"continuous_actions": False, "categorical_actions": False}),
        ("simple_reference", {"continuous_actions": False, "multidiscrete_actions": True}),
        ("simple_world_comm", {}),
        ("football", {}),
        ("kinematic_bicycle", {"group_map": MarlGroupMapType.ONE_GROUP_PER_AGENT}),
    ],
)
def test_specs_and_values_are_those_of_torchrl(scenario: str, options: dict[str, Any]) -> None:
    theirs = pytest.importorskip("torchrl.envs", reason="torchrl is not installed (extra peers)")
    ours = VmasEnv(scenario, num_envs=3, max_steps=4, **options)
    if "group_map" in options:
        options = {**options, "group_map": theirs.MarlGroupMapType[options["group_map"].name]}
    peer = theirs.VmasEnv(scenario, num_envs=3, max_steps=4, **options)
    assert ours.group_map == peer.group_map
    for family in ("observation", "action", "reward", "done"):
        one, other = getattr(ours, f"full_{family}_spec"), getattr(peer, f"full_{family}_spec")
        assert {*one.keys(True, True)} == {*other.keys(True, True)}
        for key, leaf in other.items(True, True):
            found = one[key]
            assert (type(found).__name__, found.shape, found.dtype) == (type(leaf).__name__, leaf.shape, leaf.dtype)
            if isinstance(found, Bounded):
                assert torch.equal(found.low, leaf.low)
                assert torch.equal(found.high, leaf.high)
    assert ours.set_seed(5) == peer.set_seed(5)
    one, other = ours.reset(), peer.reset()
    require_equal(one, other)
    for _ in range(10):
        for key in peer.action_keys:
            one[key] = other[key] = peer.full_action_spec[key].rand()
        (stepped, one), (their_step, other) = ours.step_and_maybe_reset(one), peer.step_and_maybe_reset(other)
        require_equal(stepped["next"], their_step["next"])

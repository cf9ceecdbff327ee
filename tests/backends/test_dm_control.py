"""dm_control as a backend: the contract, the suite's own loop bit for bit, and hand-written ``dm_env`` environments."""

from __future__ import annotations

import copy
import importlib.util
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

if importlib.util.find_spec("dm_control") is None:
    pytest.skip("needs dm_control", allow_module_level=True)

import dm_env
from dm_env import specs

from envcli.backends.dm_control import DMControlEnv, DMControlWrapper
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, SpecError, UnknownName
from envcli.specs import Bounded, Categorical, OneHot, Unbounded
from envcli.testing import EnvContract
from tests.conftest import ROOT


class Counting(dm_env.Environment):
    """Observation and reward are the number of steps of the episode, which ends after ``limit`` with ``discount``."""

    def __init__(self, limit: int = 5, discount: float = 0.0) -> None:
        self.limit, self.discount = limit, discount
        self.count = -1
        self.closed = 0
        self.actions: list[Any] = []

    def observation_spec(self) -> Any:
        return specs.Array((1,), np.float32)

    def action_spec(self) -> Any:
        return specs.DiscreteArray(3)

    def observe(self) -> Any:
        return np.full(1, self.count, np.float32)

    def reset(self) -> dm_env.TimeStep:
        self.count = 0
        return dm_env.restart(self.observe())

    def step(self, action: Any) -> dm_env.TimeStep:
        if not 0 <= self.count < self.limit:
            return self.reset()
        self.actions.append(action)
        self.count += 1
        kind = dm_env.StepType.LAST if self.count == self.limit else dm_env.StepType.MID
        return dm_env.TimeStep(kind, float(self.count), self.discount if kind.last() else 1.0, self.observe())

    def seed(self, seed: int | None) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


class Nested(Counting):
    """Every kind of spec, drawn from a seed."""

    def __init__(self) -> None:
        super().__init__(limit=7, discount=1.0)
        self.random = np.random.RandomState(0)

    def observation_spec(self) -> Any:
        return {
            "arm": {"angles": specs.Array((2, 2), np.float64), "length": specs.BoundedArray((), np.float32, 0, 1)},
            "pair": [specs.Array((), np.int64), specs.DiscreteArray(4)],
            "image": specs.Array((4, 5, 3), np.uint8),
        }

    def action_spec(self) -> Any:
        move = specs.BoundedArray((2,), np.float64, [-1, -np.inf], [1, np.inf])
        return {"move": move, "grip": [specs.DiscreteArray(2), specs.BoundedArray((), np.float32, 0, 1)]}

    def reward_spec(self) -> Any:
        return specs.Array((2,), np.float32)

    def observe(self) -> Any:
        draw = self.random
        return {
            "arm": {"angles": draw.normal(size=(2, 2)), "length": np.float32(draw.rand())},
            "pair": [np.int64(draw.randint(9)), draw.randint(4)],
            "image": draw.randint(0, 256, (4, 5, 3)).astype(np.uint8),
        }

    def step(self, action: Any) -> dm_env.TimeStep:
        step = super().step(action)
        return step if step.reward is None else step._replace(reward=np.array([step.reward, 1], np.float32))

    def seed(self, seed: int | None) -> None:
        self.random.seed(seed)


class TestAcrobot(EnvContract):
    def make_env(self) -> Env:
        return DMControlEnv("acrobot", "swingup")


class TestHumanoidWithSkip(EnvContract):
    def make_env(self) -> Env:
        return DMControlEnv("humanoid", "walk", frame_skip=2, time_limit=0.5, device="cpu")


class TestModelDrawnFromTheSeed(EnvContract):
    def make_env(self) -> Env:
        return DMControlEnv("lqr", "lqr_2_1")


class TestCounting(EnvContract):
    def make_env(self) -> Env:
        return DMControlWrapper(Counting())


class TestNested(EnvContract):
    def make_env(self) -> Env:
        return DMControlWrapper(Nested(), categorical_action_encoding=True)


@pytest.mark.usefixtures("drawing")
class TestPixels(EnvContract):
    def make_env(self) -> Env:
        return DMControlEnv("cheetah", "run", from_pixels=True, pixels_only=False, pixel_size=8, render_quality="fast")


# -- the suite's own loop ---------------------------------------------------------------------------------------------


def assert_like_the_suite(env: DMControlEnv, seed: int, steps: int, skip: int = 1, **task: Any) -> None:
    """What ``env`` shows after ``set_seed`` is what a task loaded with that seed shows, bit for bit, resets too."""
    from dm_control import suite

    env.set_seed(seed)
    data = env.rollout(steps, break_when_any_done=False)
    bare = suite.load(env.env_name, env.task_name, task_kwargs={"random": seed, **task})
    observation = bare.reset().observation
    for row in data:
        for name, value in observation.items():
            np.testing.assert_array_equal(row[name].numpy(), np.atleast_1d(value), strict=True)
        reward = 0.0
        for _ in range(skip):
            step = bare.step(row["action"].numpy())
            reward += step.reward
            if step.last():
                break
        following = row["next"]
        for name, value in step.observation.items():
            np.testing.assert_array_equal(following[name].numpy(), np.atleast_1d(value), strict=True)
        assert following["reward"].item() == reward
        assert following["done"].item() == step.last()
        assert following["terminated"].item() == (step.last() and step.discount == 0)
        observation = bare.reset().observation if step.last() else step.observation


@pytest.mark.parametrize(("domain", "task"), [("cheetah", "run"), ("humanoid", "walk"), ("cartpole", "swingup")])
def test_it_is_the_suites_own_loop(domain: str, task: str) -> None:
    with DMControlEnv(domain, task, time_limit=0.4) as env:
        assert_like_the_suite(env, 3, 60, time_limit=0.4)


def test_frame_skip_is_the_suites_loop_repeated() -> None:
    with DMControlEnv("walker", "walk", frame_skip=3, time_limit=0.5) as env:  # 20 steps: the last is cut short
        assert_like_the_suite(env, 4, 20, skip=3, time_limit=0.5)


@pytest.mark.slow
def test_every_task_begins_as_if_loaded_with_the_seed() -> None:
    """Whatever was run before: no task keeps something of an older episode."""
    for name in DMControlEnv.available_names():
        if name.startswith("dog-"):  # a dog takes seconds to load
            continue
        with DMControlEnv.from_name(name) as env:
            env.rollout(5)
            assert_like_the_suite(env, 1, 5)


def test_the_next_episodes_follow_from_the_seed() -> None:
    with DMControlEnv("reacher", "easy", time_limit=0.1) as env:
        runs = []
        for _ in range(2):
            env.set_seed(5)
            torch.manual_seed(0)
            runs.append(env.rollout(40, break_when_any_done=False))
        assert runs[0]["next", "done"].sum() > 2
        assert (runs[0] == runs[1]).all()
        env.set_seed(None)
        assert not torch.equal(env.reset()["position"], runs[0][0]["position"])


def test_a_seed_that_the_generator_does_not_take_is_refused() -> None:
    with DMControlEnv("cartpole", "swingup") as env, pytest.raises(ConfigError, match="seed: found -1"):
        env.set_seed(-1)


# -- what it is -------------------------------------------------------------------------------------------------------


def test_acrobot_is_as_the_tutorial_prints_it() -> None:
    with DMControlEnv("acrobot", "swingup") as env:
        assert repr(env) == "DMControlEnv(env=acrobot, task=swingup, batch_size=torch.Size([]), device=None)"
        shown = env.reset()
        shapes = {key: (list(value.shape), value.dtype) for key, value in shown.items()}
        flags = dict.fromkeys(["done", "terminated", "truncated"], ([1], torch.bool))
        assert shapes == {"orientations": ([4], torch.float64), "velocity": ([2], torch.float64), **flags}
        action = env.action_spec
        assert isinstance(action, Bounded)
        assert (action.dtype, action.low.item(), action.high.item()) == (torch.float64, -1, 1)
        assert env.reward_spec == Unbounded(torch.Size([1]), dtype=torch.float64)


def test_scalars_have_a_shape() -> None:
    with DMControlEnv("humanoid", "walk") as env:
        assert env.reset()["head_height"].shape == torch.Size([1])


def test_the_native_env_is_at_hand() -> None:
    with DMControlEnv("cheetah", "run") as env:
        assert env.physics is env._env.physics
        assert env.control_timestep() == pytest.approx(0.01)
        with pytest.raises(AttributeError):
            _ = env.nonsense


def test_available_envs_are_pairs() -> None:
    pairs = dict(DMControlEnv.available_envs)
    assert pairs["acrobot"] == ["swingup", "swingup_sparse"]
    names = DMControlEnv.available_names()
    assert names == sorted(names)
    assert set(names) == {f"{domain}-{task}" for domain, tasks in pairs.items() for task in tasks}


def test_options_reach_the_task() -> None:
    flat = {"flat_observation": True}
    with DMControlEnv.from_name("cheetah-run", visualize_reward=True, environment_kwargs=flat, random=3) as env:
        assert env.task.visualize_reward
        assert env.observation_keys == ["observations"]


@pytest.mark.parametrize("names", [("cheeta", "run"), ("cheetah", "walk"), ("cheetah", ""), ("cheetah", "runn")])
def test_an_unknown_task_is_named_with_the_nearest(names: tuple[str, str]) -> None:
    with pytest.raises(UnknownName, match="'cheetah-run'"):
        DMControlEnv(*names)


def test_what_cannot_be_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="does not take these options: colour"):
        DMControlEnv("cheetah", "run", colour="red")
    with pytest.raises(ConfigError, match="frame_skip"):
        DMControlEnv("cheetah", "run", frame_skip=0)
    with pytest.raises(ConfigError, match=r"expected a dm_env\.Environment, found builtins\.int"):
        DMControlWrapper(3)
    with pytest.raises(ConfigError, match="has no physics to draw"):
        DMControlWrapper(Counting(), from_pixels=True)


# -- any other dm_env -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("discount", "terminated"),
    [(0.0, True), (1.0, False), (0.5, False), (np.zeros(2), True), (np.array([0, 1]), False)],
)
def test_no_discount_is_an_end_and_any_other_a_limit(discount: Any, terminated: bool) -> None:
    with DMControlWrapper(Counting(limit=3, discount=discount)) as env:
        data = env.rollout(7, break_when_any_done=False)["next"]
        assert data["observation"].flatten().tolist() == [1, 2, 3, 1, 2, 3, 1]
        ends = [False, False, True, False, False, True, False]
        assert data["done"].flatten().tolist() == ends
        assert data["terminated"].flatten().tolist() == [end and terminated for end in ends]
        assert data["truncated"].flatten().tolist() == [end and not terminated for end in ends]


def test_frame_skip_sums_rewards_and_stops_at_the_end() -> None:
    native = Counting(limit=5)
    with DMControlWrapper(native, frame_skip=3) as env:
        data = env.rollout(4, break_when_any_done=False)
        assert data["next", "reward"].flatten().tolist() == [6, 9, 6, 9]
        assert data["next", "done"].flatten().tolist() == [False, True, False, True]
        assert len(native.actions) == 10


def test_discrete_actions_are_one_hot_unless_asked_otherwise() -> None:
    native = Counting(limit=50)
    with DMControlWrapper(native) as env:
        assert env.action_spec == OneHot(3, dtype=torch.int64)
        data = env.rollout(20)
        assert native.actions == data["action"].argmax(-1).tolist()
    native = Counting(limit=50)
    with DMControlWrapper(native, categorical_action_encoding=True) as env:
        assert isinstance(env.action_spec, Categorical)
        data = env.rollout(20)
        assert native.actions == data["action"].tolist()


def test_nested_specs_are_nested_keys() -> None:
    with DMControlWrapper(Nested(), categorical_action_encoding=True) as env:
        keys = {("arm", "angles"), ("arm", "length"), ("pair", "0"), ("pair", "1"), "image"}
        assert set(env.observation_keys) == keys
        assert set(env.action_keys) == {"move", ("grip", "0"), ("grip", "1")}
        assert env.observation_spec["image"] == Bounded(0, 255, shape=(4, 5, 3), dtype=torch.uint8)
        assert env.reward_spec.shape == torch.Size([2])
        env.set_seed(0)
        data = env.rollout(3)
    native = Nested()
    native.seed(0)
    shown = [native.reset().observation, *(native.step(None).observation for _ in range(3))]
    for row, first, following in zip(data, shown[:-1], shown[1:], strict=True):
        for place, value in ((row, first), (row["next"], following)):
            np.testing.assert_array_equal(place["arm", "angles"], value["arm"]["angles"])
            assert place["arm", "length"].item() == value["arm"]["length"]
            assert place["pair", "1"].item() == value["pair"][1]
            np.testing.assert_array_equal(place["image"], value["image"])


def test_nested_actions_arrive_as_the_native_env_wants_them() -> None:
    native = Nested()
    with DMControlWrapper(native) as env:
        data = env.rollout(2)
    arrived, sent = native.actions[1], data[1]
    np.testing.assert_array_equal(arrived["move"], sent["move"], strict=False)
    assert arrived["grip"][0] == sent["grip", "0"].argmax()
    assert arrived["grip"][1].shape == ()
    native.actions[0]["move"][:] = 9  # its own memory, also after the fact
    assert (data[0]["move"] != 9).all()


def test_a_step_beyond_the_end_is_refused() -> None:
    with DMControlWrapper(Counting(limit=1)) as env:
        with pytest.raises(EnvError, match=r"Call reset\(\) before step\(\)"):
            env.rand_step()
        env.rand_step(env.reset())
        with pytest.raises(EnvError, match="the episode is over"):
            env.rand_step()


@pytest.mark.parametrize("checks", ["first", "full"])
def test_a_copy_of_one_that_has_run(checks: str) -> None:
    """Writes to rows of its own."""
    with DMControlWrapper(Counting(limit=9), checks=checks) as env:
        made = env.rollout(5)
        with copy.deepcopy(env) as again:
            assert again.rollout(4)["next", "reward"].flatten().tolist() == [1, 2, 3, 4]
        assert made["next", "reward"].flatten().tolist() == [1, 2, 3, 4, 5]


def test_an_observation_that_is_not_as_announced_is_refused() -> None:
    class Liar(Counting):
        def observe(self) -> Any:
            return np.zeros(3)

    with DMControlWrapper(Liar()) as env, pytest.raises(SpecError, match=r"Liar reset: observation.*\(1,\).*\(3,\)"):
        env.reset()


class Faulty(Counting):
    """Shows, pays or discounts ``lie`` at step ``at``; 0 is the reset."""

    def __init__(self, what: str, lie: Any, at: int, limit: int = 50) -> None:
        super().__init__(limit=limit)
        self.what, self.lie, self.at = what, lie, at

    def observe(self) -> Any:
        return self.lie if self.what == "observation" and self.count == self.at else super().observe()

    def step(self, action: Any) -> dm_env.TimeStep:
        step = super().step(action)
        return step._replace(**{self.what: self.lie}) if self.what != "observation" and self.count == self.at else step


@pytest.mark.parametrize(
    ("what", "lie", "said"),
    [
        ("observation", np.zeros(2, np.float32), r"step: observation: expected shape \(1,\).*found \(2,\)"),
        ("observation", np.float32(0), r"step: observation: expected shape \(1,\).*found \(\)"),
        ("observation", None, "step: observation: expected float32 .* found None"),
        ("observation", {"x": 1}, "step: observation: expected float32"),
        ("observation", np.array([np.nan], np.float32), "step: observation: expected a finite number, found nan"),
        ("observation", np.array([np.inf]), "step: observation: expected a finite number, found inf"),
        ("reward", np.nan, "step: reward: expected a finite number, found nan"),
        ("reward", None, "step: reward: expected a number, float64, found None"),
        ("reward", "much", "step: reward: expected a number, float64, found 'much'"),
        ("reward", np.zeros(2), r"step: reward: expected a single number, found an array of shape \(2,\)"),
    ],
)
def test_a_fault_is_told_when_it_is_looked_for(what: str, lie: Any, said: str) -> None:
    for checks, at, skip in (("first", 1, None), ("full", 1, None), ("full", 20, None), ("full", 20, 2)):
        env = DMControlWrapper(Faulty(what, lie, at), checks=checks, frame_skip=skip)
        with pytest.raises(SpecError, match=f"^Faulty {said}"):
            env.rollout(30)
    if what == "observation":
        for checks in ("first", "full"):
            env = DMControlWrapper(Faulty(what, lie, 0), checks=checks)
            with pytest.raises(SpecError, match=f"^Faulty {said.replace('step', 'reset')}"):
                env.reset()


def test_a_fault_is_let_pass_where_nobody_looks() -> None:
    for what, lie in (("observation", np.float32(0)), ("observation", np.float32([np.nan])), ("reward", np.nan)):
        for checks, at in (("off", 1), ("off", 20), ("first", 20)):
            with DMControlWrapper(Faulty(what, lie, at), checks=checks) as env:
                assert len(env.rollout(30)) == 30


@pytest.mark.parametrize("checks", ["first", "off"])
def test_what_no_row_takes_is_explained_whenever_it_comes(checks: str) -> None:
    for what, lie in (("observation", np.zeros(2, np.float32)), ("reward", "much")):
        said = f"^Faulty step: {what}: expected .*, found .*. Fix the simulator\nafter 19 steps"
        with DMControlWrapper(Faulty(what, lie, 20), checks=checks) as env, pytest.raises(SpecError, match=said):
            env.rollout(30)
    env = DMControlWrapper(Faulty("observation", np.zeros(2, np.float32), 0), checks="off")
    with env, pytest.raises(SpecError, match=r"^Faulty reset: observation: expected .* Fix the simulator$"):
        env.reset()


def test_a_discount_is_a_number() -> None:
    for lie in (None, np.nan):
        env = DMControlWrapper(Faulty("discount", lie, 5, limit=5), checks="full")
        with pytest.raises(SpecError, match=f"Faulty step: discount: expected a finite number, found {lie}"):
            env.rollout(9)


def test_keys_that_are_not_announced() -> None:
    class Generous(Nested):
        def observe(self) -> Any:
            return {**super().observe(), "more": 1}

    with DMControlWrapper(Generous()) as env, pytest.raises(SpecError, match="reset: observation: found 'more'"):
        env.reset()


def test_physics_that_come_apart_are_told_with_the_task() -> None:
    with DMControlEnv("cartpole", "swingup") as env:
        td = env.rand_action(env.reset())
        env.physics.data.qvel[:] = np.nan
        with pytest.raises(EnvError, match=r"^cartpole, task=swingup step: the physics diverged: Physics state is"):
            env.step(td)


@pytest.mark.parametrize("domain", ["cheetah", "humanoid"])
def test_all_checks_change_nothing(domain: str) -> None:
    rollouts = []
    for checks in ("off", "full"):
        with DMControlEnv(domain, "run", checks=checks) as env:
            env.set_seed(0)
            torch.manual_seed(0)
            rollouts.append(env.rollout(20))
    assert (rollouts[0] == rollouts[1]).all()


def test_an_env_without_a_generator_says_what_it_needs() -> None:
    class Mute(Counting):
        seed = None  # type: ignore[assignment]  # no method of that name

    with DMControlWrapper(Mute()) as env, pytest.raises(EnvError, match="Give it a method seed"):
        env.set_seed(0)


def test_text_cannot_live_in_tensors() -> None:
    class Talking(Counting):
        def observation_spec(self) -> Any:
            return {"words": specs.StringArray(())}

    with pytest.raises(ConfigError, match=r"observation_spec\.words"):
        DMControlWrapper(Talking())


def test_the_native_env_is_closed_once() -> None:
    native = Counting()
    env = DMControlWrapper(native)
    env.close()
    env.close()
    assert native.closed == 1
    native = Counting()
    del env
    DMControlWrapper(native)  # forgotten at once
    assert native.closed == 1


# -- pixels -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("drawing")
def test_pixels_are_the_suites_own_frames() -> None:
    from dm_control import suite

    with DMControlEnv("cheetah", "run", from_pixels=True, pixel_size=[24, 32]) as env:
        assert env.observation_keys == ["pixels"]
        assert env.observation_spec["pixels"] == Bounded(0, 255, shape=(24, 32, 3), dtype=torch.uint8)
        env.set_seed(0)
        data = env.rollout(3)
    bare = suite.load("cheetah", "run", task_kwargs={"random": 0})
    bare.reset()
    for row in data:
        np.testing.assert_array_equal(row["pixels"], bare.physics.render(24, 32, camera_id=0))
        bare.step(row["action"].numpy())
        np.testing.assert_array_equal(row["next", "pixels"], bare.physics.render(24, 32, camera_id=0))
    bare.physics.free()
    assert data["pixels"].float().std() > 5
    assert not torch.equal(data[0]["pixels"], data[2]["next", "pixels"])


@pytest.mark.usefixtures("drawing")
def test_pixels_of_acrobot_are_as_the_tutorial_prints_them() -> None:
    with DMControlEnv("acrobot", "swingup", from_pixels=True, pixels_only=True) as env:
        shown = env.reset()
        assert set(shown.keys()) == {"pixels", "done", "terminated", "truncated"}
        assert (shown["pixels"].shape, shown["pixels"].dtype) == (torch.Size([240, 320, 3]), torch.uint8)


@pytest.mark.usefixtures("drawing")
def test_the_camera_is_the_users_choice() -> None:
    small = {"pixel_size": 16, "render_quality": "fast"}
    frames = []
    for options in ({}, {"camera_id": 1}, {"camera_id": "back"}, {"render_kwargs": {"camera_id": -1, "width": 20}}):
        with DMControlEnv("cheetah", "run", from_pixels=True, pixels_only=False, **small, **options) as env:
            env.set_seed(0)
            frames.append(env.reset()["pixels"])
            assert set(env.observation_keys) == {"position", "velocity", "pixels"}
    side, numbered, named, free = frames
    assert not torch.equal(side, numbered)
    assert torch.equal(numbered, named)
    assert free.shape == torch.Size([16, 20, 3])


@pytest.mark.usefixtures("drawing")
def test_a_frame_may_be_larger_than_the_model_foresees() -> None:
    with DMControlEnv("cheetah", "run", from_pixels=True, pixel_size=[600, 700], render_quality="fast") as env:
        assert env.reset()["pixels"].shape == torch.Size([600, 700, 3])


@pytest.mark.usefixtures("drawing")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"camera_id": 9}, "2 fixed cameras"),
        ({"camera_id": "nose"}, "nose"),
        ({"pixel_size": [0, 5]}, r"pixel_size=\[240,320\]"),
        ({"render_quality": "medium"}, "expected one of full, fast"),
        ({"render_kwargs": {"depth": True}}, "uint8, found float32"),
        ({"render_kwargs": {"colour": 1}}, "colour"),
    ],
)
def test_a_camera_that_there_is_not(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DMControlEnv("cheetah", "run", from_pixels=True, **options)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere MUJOCO_GL is not ours to choose")
def test_a_broken_choice_of_gl_is_explained_without_pixels_too() -> None:
    program = "from envcli.backends.dm_control import DMControlEnv; DMControlEnv('cheetah', 'run')"
    environment = {**os.environ, "MUJOCO_GL": "nonsense"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert "ConfigError: dm_control cannot be imported with MUJOCO_GL=nonsense" in done.stderr


SCRIPT = """
from envcli.backends.dm_control import DMControlEnv
state = DMControlEnv("cheetah", "run")
pixels = DMControlEnv("acrobot", "swingup", from_pixels=True, pixel_size=8)
pixels.reset()
print(state.rollout(2).shape[0], pixels.reset()["pixels"].shape[0])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("drawing")
def test_a_process_that_forgets_to_close_ends_without_a_word() -> None:
    """And an env without pixels, built first, does not take drawing away from the next."""
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 8\n", "")


def test_torchrls_arguments_are_taken() -> None:
    env = DMControlEnv("cartpole", "balance", batch_size=[], convert_actions_to_numpy=True, spec_locked=False)
    assert (env.env_name, env.task_name, env.is_spec_locked) == ("cartpole", "balance", False)
    assert env.rollout(2).shape == (2,)
    with pytest.raises(ConfigError, match=r"^batch_size: found \[2\]"):
        DMControlEnv("cartpole", "balance", batch_size=[2])

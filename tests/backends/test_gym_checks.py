"""A gymnasium env that breaks its word: what is said, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.errors import ConfigError, SpecError
from envcli.memory.buffer import RolloutBuffer
from envcli.testing.gym_toys import CountingGym, every_space

NAN, INF = np.nan, np.inf
GOOD = np.zeros(2, np.float32)


class Liar(CountingGym):
    """Tells the truth but for one moment: ``lie`` stands for one of the things that it returns there.

    Args:
        what: ``"observation"``, ``"reward"``, ``"terminated"``, ``"truncated"``, ``"info"`` or ``"all"``.
        lie: what it is instead.
        at: which call lies: 0 is the reset, 1 the first step; -1: the second reset.
        space: of the observation; ``truth`` is a member.
    """

    def __init__(self, what: str, lie: Any, at: int, space: Any = None, truth: Any = GOOD, limit: int = 1000) -> None:
        super().__init__(limit=limit)
        self.observation_space = space or spaces.Box(-1, 1, (2,), np.float32)
        self.what, self.lie, self.at, self.truth = what, lie, at, truth

    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        lies = self.at == 0 or (self.at < 0 and len(self.resets) == 2)
        if lies and self.what == "all":
            return self.lie
        return tuple(
            self.lie if lies and name == self.what else value
            for name, value in {"observation": self.truth, "info": {}}.items()
        )

    def step(self, action: Any) -> Any:
        *_, terminated, truncated, info = super().step(action)
        lies = self.count == self.at
        if lies and self.what == "all":
            return self.lie
        told = {
            "observation": self.truth,
            "reward": 1.0,
            "terminated": terminated,
            "truncated": truncated,
            "info": info,
        }
        return tuple(self.lie if lies and name == self.what else value for name, value in told.items())


LIES = [
    (np.zeros(3, np.float32), r"observation: expected shape \(2,\) as the env declares, found \(3,\)"),
    (np.zeros(1, np.float32), r"observation: expected shape \(2,\).*found \(1,\)"),
    (np.float32(0), r"observation: expected shape \(2,\).*found \(\)"),
    (np.zeros((1, 2), np.float32), r"observation: .*found \(1, 2\)"),
    (None, "observation: expected float32 .*found None"),
    (np.array(["a", "b"]), "observation: expected float32"),
    (np.array([1j, 0]), "observation: expected float32 .*found complex128"),
    (np.array([0, NAN], np.float32), r"observation: expected a finite number, found nan at \[1\]"),
    (np.array([0, INF], np.float32), r"observation: expected a finite number, found inf at \[1\]"),
    (np.array([-2, 0], np.float32), r"observation: expected -1.0 to 1.0, found -2.0 at \[0\]"),
    (np.array([-2.0, 0]), r"observation: expected -1.0 to 1.0, found -2.0 at \[0\]"),
    ({"x": GOOD}, "observation: expected float32"),
]
REWARDS = [
    (NAN, "reward: expected a finite number, found nan"),
    (INF, "reward: expected a finite number, found inf"),
    (1e300, "reward: expected a finite number, found inf"),
    (None, "reward: expected a number, float32, found None"),
    ("1", "reward: expected a number, float32, found '1'"),
    (np.zeros(2), r"reward: expected a single number, found an array of shape \(2,\)"),
]
FLAGS = [(None, "expected true or false, found None"), (2, "found 2"), (np.zeros(2), "found array")]


def lying(what: str, lie: Any, at: int, checks: str, **options: Any) -> GymWrapper:
    return GymWrapper(Liar(what, lie, at, **options), checks=checks)


@pytest.mark.parametrize("checks", ["full", "first"])
@pytest.mark.parametrize(("lie", "said"), LIES)
def test_an_observation_in_the_first_moments(lie: Any, said: str, checks: str) -> None:
    with lying("observation", lie, 0, checks) as env, pytest.raises(SpecError, match=f"^Liar reset: {said}"):
        env.reset()
    with lying("observation", lie, 1, checks) as env, pytest.raises(SpecError, match=f"^Liar step: {said}"):
        env.rollout(5)
    with lying("observation", lie, 1, checks) as env, pytest.raises(SpecError, match=f"^Liar step: {said}"):
        env.rand_step(env.reset())


@pytest.mark.parametrize(("lie", "said"), LIES)
def test_an_observation_at_any_time(lie: Any, said: str) -> None:
    with lying("observation", lie, 40, "full") as env:
        rows = RolloutBuffer.allocate(env._row_layout(), 100, env.batch_size)
        with pytest.raises(SpecError, match=f"^Liar step: {said}"):
            env.rollout(100, out=rows)
        assert rows.filled == 39
        env._env.at = 1000
        assert len(env.rollout(100, out=rows)) == 100, "and nothing of the fault is left in the memory"
        assert not rows["next", "done"].any()
    with lying("observation", lie, 5, "full") as env:
        td = env.reset()
        for _ in range(4):
            td = env.step_mdp(env.rand_step(td))
        with pytest.raises(SpecError, match=f"^Liar step: {said}"):
            env.rand_step(td)
    with lying("observation", lie, -1, "full", limit=3) as env, pytest.raises(SpecError, match=f"^Liar reset: {said}"):
        env.rollout(100, break_when_any_done=False)


@pytest.mark.parametrize(("lie", "said"), REWARDS)
def test_a_reward(lie: Any, said: str) -> None:
    for checks, at in (("full", 1), ("first", 1), ("full", 30)):
        with lying("reward", lie, at, checks) as env, pytest.raises(SpecError, match=f"^Liar step: {said}"):
            env.rollout(50)
        with lying("reward", lie, at, checks) as env:
            td = env.reset()
            for _ in range(at - 1):
                td = env.step_mdp(env.rand_step(td))
            with pytest.raises(SpecError, match=f"^Liar step: {said}"):
                env.rand_step(td)


@pytest.mark.parametrize("flag", ["terminated", "truncated"])
@pytest.mark.parametrize(("lie", "said"), FLAGS)
def test_a_flag(lie: Any, said: str, flag: str) -> None:
    for checks, at in (("full", 1), ("first", 1), ("full", 30)):
        with lying(flag, lie, at, checks) as env, pytest.raises(SpecError, match=f"^Liar step: {flag}: .*{said}"):
            env.rollout(50)


@pytest.mark.parametrize("skip", [2, 3])
def test_a_fault_in_a_frame_that_is_skipped(skip: int) -> None:
    for what, lie, at in (("reward", NAN, 7), ("reward", None, 7), ("truncated", None, 7), ("reward", None, 1)):
        env = GymWrapper(Liar(what, lie, at), checks="full", frame_skip=skip)
        with pytest.raises(SpecError, match=f"^Liar step: {what}: expected"):
            env.rollout(50)


def test_what_is_not_the_tuple_of_gymnasium() -> None:
    old = (GOOD, 1.0, False, {})
    with lying("all", old, 1, "first") as env, pytest.raises(SpecError, match=r"step: expected \(obs.*a tuple of 4"):
        env.rollout(3)
    with lying("all", GOOD, 0, "first") as env, pytest.raises(SpecError, match=r"reset: expected \(obs.*a ndarray"):
        env.reset()
    with lying("info", None, 1, "first") as env, pytest.raises(SpecError, match="step: info: expected a dict"):
        env.rollout(3)


def test_off_lets_pass_what_numpy_takes_and_first_what_comes_later() -> None:
    for lie in (np.zeros(1, np.float32), None, np.array([0, NAN], np.float32), np.array([9, 0])):
        for checks, at in (("off", 0), ("off", 1), ("off", 30), ("first", 30)):
            with lying("observation", lie, at, checks) as env:
                assert len(env.rollout(50)) == 50
    for what, lie in (("reward", NAN), ("truncated", None)):
        for checks, at in (("off", 1), ("first", 30)):
            with lying(what, lie, at, checks) as env:
                assert len(env.rollout(50)) == 50


UNFIT = [
    ("reward", None, "step: reward: expected a number, float32, found None"),
    ("reward", "x", "step: reward: expected a number, float32, found 'x'"),
    ("reward", np.ones(2), r"step: reward: expected a single number, found an array of shape \(2,\)"),
    ("observation", np.zeros(3), r"step: observation: expected shape \(2,\) as the env declares, found \(3,\)"),
    ("all", None, r"step: expected \(observation, reward, terminated, truncated, info\), found a NoneType"),
    ("all", (GOOD, 1.0, False, {}), r"step: expected \(observation, .*, info\), found a tuple of 4"),
]


@pytest.mark.parametrize("checks", ["first", "full", "off"])
@pytest.mark.parametrize(("what", "lie", "said"), UNFIT)
@pytest.mark.parametrize("skip", [None, 2])
def test_what_no_row_takes_is_explained_whenever_it_comes(
    what: str, lie: Any, said: str, checks: str, skip: int | None
) -> None:
    with GymWrapper(Liar(what, lie, at=6), checks=checks, frame_skip=skip) as env:
        with pytest.raises(SpecError, match=f"^Liar {said}") as caught:
            env.rollout(20)
        assert "\n" not in str(caught.value)
    env = GymWrapper(Liar(what, lie, at=6), checks=checks, frame_skip=skip)
    with pytest.raises(SpecError, match=f"^Liar {said}"):
        env.rollout(20, env.rand_action)  # step by step


@pytest.mark.parametrize("checks", ["first", "off"])
def test_a_later_reset_that_no_row_takes_is_explained(checks: str) -> None:
    for what, lie, said in (
        ("all", None, r"expected \(observation, info\), found a NoneType"),
        ("all", (GOOD, {}, 1), r"expected \(observation, info\), found a tuple of 3"),
        ("observation", np.zeros(3), r"observation: expected shape \(2,\) as the env declares, found \(3,\)"),
    ):
        env = GymWrapper(Liar(what, lie, at=-1, limit=5), checks=checks)
        with pytest.raises(SpecError, match=f"^Liar reset: {said}.*Fix the simulator(\n|$)"):
            env.rollout(20, break_when_any_done=False)


def test_first_looks_again_in_new_memory() -> None:
    with lying("observation", np.array([0, NAN], np.float32), 1000, "first", limit=5) as env:
        env.rollout(5)
        env._env.at = 1
        with pytest.raises(SpecError, match="found nan"):
            env.rollout(5)


def test_the_keys_and_the_entries_of_a_nest() -> None:
    space = every_space()
    space.seed(0)
    truth = space.sample()
    wrong = {**truth, "scalar": np.float32(NAN)}, {**truth, "choice": 2}, {**truth, "pair": (truth["pair"][0],)}
    for lie, said in (
        ({**truth, "more": 1}, "observation: found 'more', which is not declared"),
        ({k: v for k, v in truth.items() if k != "bits"}, "observation: expected an entry 'bits'"),
        (wrong[0], r"observation\.scalar: expected a finite number, found nan"),
        (wrong[1], r"observation\.choice: expected -1 to 1, found 2"),
        (wrong[2], r"observation\.pair: expected 2 entries, found 1"),
        ({**truth, "inner": {"deep": np.float32([INF])}}, r"observation\.inner\.deep: .*found inf"),
        ({**truth, "bits": np.array([0, 1, 2, 0], np.int8)}, r"observation\.bits: expected 0 to 1, found 2"),
        ({**truth, "choices": np.array([1, 3])}, r"observation\.choices: expected 0 to 2, found 3"),
        ({**truth, "image": truth["image"].astype(float)}, r"observation\.image: expected uint8 .* found float64"),
    ):
        for at, checks in ((0, "first"), (1, "first"), (4, "full")):
            env = lying("observation", lie, at, checks, space=space, truth=truth)
            with pytest.raises(SpecError, match=said):
                env.rollout(9)


def test_a_simulator_that_stops_after_a_fault_leaves_no_fault_in_whole_rows() -> None:
    class Falls(Liar):
        def step(self, action: Any) -> Any:
            if self.count == 9:
                raise RuntimeError("fell over")
            return super().step(action)

    env = GymWrapper(Falls("observation", np.array([0, NAN], np.float32), 6), checks="full")
    rows = RolloutBuffer.allocate(env._row_layout(), 20, env.batch_size)
    with pytest.raises(RuntimeError, match="fell over"):
        env.rollout(20, out=rows)
    assert rows.filled == 5


def test_an_env_that_keeps_its_word_is_the_same_with_all_checks() -> None:
    rollouts = []
    for checks in ("off", "first", "full"):
        for name in ("CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "Blackjack-v1"):
            with GymEnv(name, checks=checks) as env:
                env.set_seed(0)
                torch.manual_seed(0)
                rollouts.append(env.rollout(200, break_when_any_done=False))
    for one, two, three in zip(rollouts[:4], rollouts[4:8], rollouts[8:], strict=True):
        assert (one == two).all()
        assert (one == three).all()


def test_there_are_three_modes() -> None:
    assert GymEnv("CartPole-v1").checks == "first"
    with pytest.raises(ConfigError, match="checks: expected one of full, first, off, found 'some'"):
        GymEnv("CartPole-v1", checks="some")

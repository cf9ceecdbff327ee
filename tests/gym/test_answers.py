"""GymAnswers: the moments at which a gymnasium env is asked, and what follows from its answers.

Every lie that an env may tell is in tests/backends/test_gym_checks.py.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit, TransformReward

from envcli.errors import ConfigError, SpecError
from envcli.gym.answers import GymAnswers
from envcli.testing.gym_toys import CountingGym


class Short(CountingGym):
    """Shows too little from its ``at``-th answer on."""

    def __init__(self, at: int) -> None:
        super().__init__(limit=100)
        self.at = at

    def reset(self, **options: Any) -> Any:
        observation, info = super().reset(**options)
        return (observation[:0] if self.at == 0 else observation), info

    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return (observation[:0] if self.count >= self.at else observation), *rest


def begun(env: gymnasium.Env[Any, Any], checks: str = "first") -> GymAnswers:
    answers = GymAnswers(env, "Toy-v0", checks)
    answers.reset(seed=1)
    return answers


def test_what_is_as_announced_passes_through() -> None:
    answers = GymAnswers(CountingGym(limit=2), "Toy-v0", "full")
    observation, info = answers.reset(seed=3, options={"level": 2})
    assert (observation.tolist(), info) == ([0.0], {})
    steps = [answers.step(1) for _ in range(2)]
    assert [(step[0].item(), *step[1:4]) for step in steps] == [(1.0, 1.0, False, False), (2.0, 2.0, True, False)]


@pytest.mark.parametrize(("at", "where"), [(0, "Toy-v0 reset: observation"), (1, "Toy-v0 step: observation")])
def test_the_first_answers_are_looked_at(at: int, where: str) -> None:
    for checks in ("first", "full"):
        with pytest.raises(SpecError, match=rf"{where}: expected shape \(1,\).*found \(0,\).*backend.checks=off"):
            begun(Short(at), checks).step(0)
    begun(Short(at), "off").step(0)


def test_later_ones_are_not_until_a_rollout_begins_anew() -> None:
    answers = begun(Short(2))
    for _ in range(3):
        answers.step(0)
    answers.begin_anew()
    with pytest.raises(SpecError, match="Toy-v0 step: observation"):
        answers.step(0)


@pytest.mark.parametrize(
    ("answer", "found"), [((0, 1.0, False, {}), "a tuple of 4"), ([0, 1.0], "a list"), (None, "a NoneType")]
)
def test_an_answer_of_another_form_is_told_with_what_it_should_be(answer: Any, found: str) -> None:
    class Old(CountingGym):
        def step(self, action: Any) -> Any:
            return answer

    answers = begun(Old())
    with pytest.raises(
        SpecError, match=rf"expected \(observation, reward, terminated, truncated, info\), found {found}"
    ):
        answers.step(0)


def test_the_layers_around_an_env_are_passed_by_and_its_clock_is_kept() -> None:
    toy = CountingGym(limit=100)
    env = TimeLimit(OrderEnforcing(PassiveEnvChecker(toy)), 5)
    answers = begun(env)
    assert answers.left() == sys.maxsize
    assert not answers.over(), "the first step counts itself"
    answers.step(1)
    assert answers.step == toy.step
    assert [answers.over() for _ in range(2)] == [False, False]
    assert answers.left() == 3
    assert answers.over(made=3)
    assert answers.left() == 1
    answers.reset()
    assert answers.left() == 5


def test_a_layer_of_somebody_elses_stays() -> None:
    answers = begun(TransformReward(CountingGym(limit=100), lambda reward: 10 * float(reward)))
    assert [answers.step(1)[1] for _ in range(2)] == [10.0, 20.0]
    assert answers.left() == sys.maxsize


def test_a_layer_whose_step_was_replaced_stays_too() -> None:
    env = OrderEnforcing(CountingGym(limit=100))
    usual, asked = env.step, []

    def step(action: Any) -> Any:
        asked.append(action)
        return usual(action)

    env.step = step  # type: ignore[method-assign]  # as some recorders do
    answers = begun(env)
    for action in (1, 2):
        answers.step(action)
    assert asked == [1, 2]


def test_options_that_an_env_does_not_take_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sized(CountingGym):
        def __init__(self, size: int = 1, render_mode: str | None = None) -> None:
            super().__init__(limit=9)
            self.size = size

        def step(self, action: Any) -> Any:
            if self.count == self.size:
                raise ValueError("too large")
            return super().step(action)

    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium, "registry", gymnasium.envs.registration.registry)
    gymnasium.register("Sized-v0", lambda **options: Sized(**options))

    def answers(**options: Any) -> GymAnswers:
        return begun(gymnasium.make("Sized-v0", disable_env_checker=True, **options))

    with pytest.raises(
        ConfigError,
        match=r"Toy-v0 step: raised ValueError: too large in .*. It was made with size=0: does it accept these.*",
    ):
        answers(size=0).step(1)
    for later in (answers(size=1), answers()):
        later.step(1)
        later.begin_anew()
        with pytest.raises(ValueError, match=r"^too large$"):
            later.step(1)


def test_what_gymnasium_refuses_is_the_simulators_to_mend() -> None:
    class Old(CountingGym):
        def step(self, action: Any) -> Any:
            return 0, 1.0, False, {}

    with pytest.raises(SpecError, match=r"Toy-v0 step: gymnasium rejects what it returned: .*Fix the simulator"):
        begun(TimeLimit(Old(), 5)).step(1)


def test_rows_are_looked_at_all_at_once_where_everything_is_checked() -> None:
    rows, rewards = np.zeros((4, 1), np.float32), np.zeros(4, np.float32)
    answers = GymAnswers(CountingGym(), "Toy-v0", "full")
    _, following = answers.bind(rows.copy(), rows, rewards)
    assert following is not None
    for t, value in enumerate([1.0, 2.0, -1.0, 3.0]):
        following[t] = np.full(1, value, np.float32)
    answers.check(0, 2)
    assert answers.whole(0, 4) == 2
    with pytest.raises(SpecError, match=r"Toy-v0 step: observation: expected 0.0 to .*found -1.0"):
        answers.check(0, 4)
    rewards[1] = np.nan
    with pytest.raises(SpecError, match=r"Toy-v0 step: reward: expected a finite number, found nan"):
        answers.check(0, 2)


@pytest.mark.parametrize("checks", ["first", "off"])
def test_rows_stay_as_they_are_where_little_is_checked(checks: str) -> None:
    rows = np.zeros((4, 1), np.float32)
    first, following = GymAnswers(CountingGym(), "Toy-v0", checks).bind(rows, rows, rows[:, 0])
    assert first is rows
    assert following is rows


def test_an_end_is_one_whatever_it_is_spelt_as_and_no_word() -> None:
    answers = GymAnswers(CountingGym(), "Toy-v0", "full")
    assert [answers.is_end(*flags) for flags in ((False, False), (True, False), (np.False_, 1))] == [False, True, True]
    with pytest.raises(SpecError, match=r"Toy-v0 step: truncated: expected true or false, found 'no'"):
        answers.is_end(False, "no")


def test_a_copy_goes_without_the_rows() -> None:
    answers = GymAnswers(CountingGym(), "Toy-v0", "full")
    rows = np.zeros((4, 1), np.float32)
    answers.bind(rows, rows, rows[:, 0])
    copy: GymAnswers = pickle.loads(pickle.dumps(answers))
    assert copy.full
    assert len(copy._rewards) == 0
    assert copy.reset()[0] == 0

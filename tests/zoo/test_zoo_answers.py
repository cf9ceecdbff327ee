from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envcli.errors import SpecError
from envcli.testing.zoo_toys import CountingAgents
from envcli.zoo.zoo_answers import ZooAnswers


def answers(checks: str = "first") -> ZooAnswers:
    env = CountingAgents()
    return ZooAnswers("zoo", {agent: env.observation_space(agent) for agent in env.limits}, checks)


def stepped() -> list[Any]:
    env = CountingAgents()
    env.reset()
    return list(env.step(dict.fromkeys(env.limits, 1)))


@pytest.mark.parametrize(("checks", "still"), [("first", False), ("full", True)])
def test_the_first_answer_is_looked_at_or_all(checks: str, still: bool) -> None:
    looked = answers(checks)
    assert looked.new_reset
    looked.check_reset(CountingAgents().reset())
    looked.check_step(tuple(stepped()), ["judge"])
    assert (looked.new_reset, looked.new_step) == (still, still)
    looked.begin_anew()
    assert looked.new_step
    assert not answers("off").new_step


def broken(part: int, agent: str, value: Any) -> tuple[Any, ...]:
    answer = stepped()
    answer[part] = {**answer[part], agent: value}
    return tuple(answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (stepped(), r"zoo step: expected \(observations, rewards, .*, found a list"),
        ((*stepped()[:4], None), "zoo step: infos: expected one for each agent, found a NoneType"),
        (broken(0, "judge", np.zeros(3, np.float32)), r"zoo step: judge: observation: expected shape \(2,\)"),
        (broken(0, "nobody", 0), "zoo step: observations: 'nobody' is not among possible_agents"),
        (broken(1, "judge", float("nan")), "zoo step: judge: reward: expected a finite number, found nan"),
        (broken(2, "judge", None), "zoo step: judge: terminations: expected true or false, found None"),
        ((*stepped()[:3], {}, {}), "zoo step: truncations: found nothing for judge, which acts"),
    ],
)
def test_what_is_not_announced_is_named(answer: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        answers().check_step(answer, ["judge"])

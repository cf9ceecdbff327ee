from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from envcli.testing.zoo_toys import CountingAgents
from envcli.zoo.rounds import Rounds


def acts(env: CountingAgents) -> Any:
    """Everybody does what the row is called."""
    return {agent: partial(int) for agent in env.possible_agents}


def test_only_those_who_are_there_act() -> None:
    env = CountingAgents()
    play = Rounds(env, 1, until_any=False)
    observations, infos = play.reset(seed=3)
    assert list(observations) == list(infos) == env.possible_agents
    for t in range(4):
        play.step(acts(env), t)
    assert env.actions[2] == dict.fromkeys(["runner_0", "runner_1", "judge"], 2)
    assert env.actions[3] == dict.fromkeys(["runner_1", "judge"], 3)
    assert list(play.acting()) == ["runner_1", "judge"]


def test_steps_that_are_one_say_what_all_of_them_say() -> None:
    env = CountingAgents()
    play = Rounds(env, 4, until_any=False)
    play.reset()
    observations, rewards, terminations, truncations, infos = play.step(acts(env), 2)
    assert {agent: shown[0] for agent, shown in observations.items()} == {"runner_0": 3, "runner_1": 4, "judge": 4}
    assert rewards == {"runner_0": 6, "runner_1": 8, "judge": 8}
    assert terminations == {"runner_0": True, "runner_1": False, "judge": False}
    assert not any(truncations.values())
    assert infos["runner_0"]["steps"] == 3


@pytest.mark.parametrize(("until_any", "count"), [(True, 3), (False, 7)])
def test_no_step_is_made_after_the_end(until_any: bool, count: int) -> None:
    env = CountingAgents()
    play = Rounds(env, 20, until_any)
    play.reset()
    play.step(acts(env), 0)
    assert env.count == count

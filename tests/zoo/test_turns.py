from __future__ import annotations

from typing import Any

from envcli.testing.zoo_toys import CountingTurns
from envcli.zoo.turns import Turns


def acts(env: CountingTurns) -> Any:
    """Everybody does the first thing that is allowed."""
    return {agent: lambda t: int(env.observe(env.agent_selection)["action_mask"].argmax()) for agent in env.limits}


def test_one_acts_at_a_time() -> None:
    env = CountingTurns()
    play = Turns(env)
    observations, infos = play.reset(seed=1)
    assert list(observations) == list(infos) == ["left", "right"]
    assert play.acting() == ("left",)
    observations, rewards, terminations, truncations, _ = play.step(acts(env), 0)
    assert env.actions == [("left", 1)]
    assert rewards == {"left": 1, "right": 0}
    assert not any({**terminations, **truncations}.values())
    assert play.acting() == ("right",)
    assert observations["right"]["action_mask"].tolist() == [0, 1, 1]


def test_who_has_ended_passes_while_others_go_on() -> None:
    env = CountingTurns({"a": 1, "b": 3, "c": 1, "d": 1})
    play = Turns(env)
    play.reset()
    for expected, ended in (
        (("b",), ["a"]),
        (("c",), ["a"]),
        (("d",), ["a", "c"]),
        (("b",), ["a", "c", "d"]),  # a has passed
    ):
        observations, rewards, terminations, _, _ = play.step(acts(env), 0)
        assert play.acting() == expected
        assert {agent for agent, over in terminations.items() if over} == set(ended)
        assert set(rewards) == set(terminations) == {"a", "b", "c", "d"}  # as it was before
    assert observations["b"]["action_mask"].any()
    play.step(acts(env), 0)
    assert play.acting() == ("b",)
    assert env.actions[-3:] == [("b", 0), ("c", None), ("d", None)]
    observations, rewards, *_ = play.step(acts(env), 0)
    assert list(observations) == list(rewards) == ["b"]


def test_nobody_passes_when_all_have_ended() -> None:
    env = CountingTurns({"a": 1, "b": 1})
    play = Turns(env)
    play.reset()
    play.step(acts(env), 0)
    _, _, terminations, _, _ = play.step(acts(env), 0)
    assert env.agents == ["a", "b"]
    assert all(terminations.values())
    made = len(env.actions)
    _, rewards, terminations, _, _ = play.step(acts(env), 0)
    assert len(env.actions) == made
    assert rewards == {"a": 0, "b": 0}
    assert all(terminations.values())
    play.reset()
    play.step(acts(env), 0)
    assert len(env.actions) == made + 1

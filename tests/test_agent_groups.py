from __future__ import annotations

from typing import Any

import pytest

from envcli.agent_groups import MarlGroupMapType, check_marl_grouping, group_map_of, groups_by_name
from envcli.errors import ConfigError

AGENTS = ["agent_0", "agent_1", "adversary_0"]


def test_agents_are_grouped_by_their_names_without_the_number() -> None:
    assert groups_by_name([*AGENTS, "lead_adversary_0", "judge", "player_one", "_1", "a_-1"]) == {
        "agent": ["agent_0", "agent_1"],
        "adversary": ["adversary_0"],
        "lead_adversary": ["lead_adversary_0"],
        "judge": ["judge"],
        "player_one": ["player_one"],
        "_1": ["_1"],
        "a_-1": ["a_-1"],
    }


def test_a_map_is_also_chosen_by_name() -> None:
    for way in (MarlGroupMapType.ALL_IN_ONE_GROUP, "all_in_one_group", "ALL_IN_ONE_GROUP"):
        assert group_map_of(way, AGENTS) == {"agents": AGENTS}
    assert group_map_of("one_group_per_agent", AGENTS) == {agent: [agent] for agent in AGENTS}
    assert group_map_of({"b": ["adversary_0"], "a": ("agent_1", "agent_0")}, AGENTS) == {
        "b": ["adversary_0"],
        "a": ["agent_1", "agent_0"],
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("in_one_group", "found 'in_one_group', expected all_in_one_group or one_group_per_agent"),
        ({"a": "agent_0"}, "expected groups and lists of their agents"),
        (3, "expected groups and lists of their agents"),
        ({"a": AGENTS, "b": []}, "group 'b' has no agents. Leave it out"),
        ({"a": [*AGENTS, "agent_2"]}, "there is no agent 'agent_2'. There are: agent_0, agent_1, adversary_0"),
        ({"a": AGENTS, "b": ["agent_1"]}, "agent 'agent_1' is named more than once"),
        ({"a": ["agent_0", "agent_1"]}, "agent 'adversary_0' is in no group. Put it into one"),
    ],
)
def test_what_is_no_grouping_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        group_map_of(given, AGENTS)


def test_agents_are_told_apart_by_their_names() -> None:
    with pytest.raises(ValueError, match="several agents are called 'a'"):
        check_marl_grouping({"g": ["a"]}, ["a", "a"])
    with pytest.raises(ValueError, match="there are no agents"):
        check_marl_grouping({}, [])

"""Which agents of an env stand together in one nested TensorDict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum

from envcli.errors import ConfigError

__all__ = ["MarlGroupMapType", "check_marl_grouping", "group_map_of", "groups_by_name"]


class MarlGroupMapType(Enum):
    """Ways to group agents that need no list of them. In YAML: ``all_in_one_group``, ``one_group_per_agent``.

    >>> MarlGroupMapType.ALL_IN_ONE_GROUP.get_group_map(["a_0", "b_0"])
    {'agents': ['a_0', 'b_0']}
    >>> MarlGroupMapType.ONE_GROUP_PER_AGENT.get_group_map(["a_0", "b_0"])
    {'a_0': ['a_0'], 'b_0': ['b_0']}
    """

    ALL_IN_ONE_GROUP = 1
    ONE_GROUP_PER_AGENT = 2

    def get_group_map(self, agent_names: list[str]) -> dict[str, list[str]]:
        """Name of a group -> its agents, in order."""
        if self is MarlGroupMapType.ALL_IN_ONE_GROUP:
            return {"agents": list(agent_names)}
        return {agent: [agent] for agent in agent_names}


def groups_by_name(agent_names: Sequence[str]) -> dict[str, list[str]]:
    """Agents whose names end in a number are in a group with those that are called the same but for it.

    >>> groups_by_name(["archer_0", "archer_1", "knight_0", "judge"])
    {'archer': ['archer_0', 'archer_1'], 'knight': ['knight_0'], 'judge': ['judge']}
    """
    found: dict[str, list[str]] = {}
    for agent in agent_names:
        stem, _, last = agent.rpartition("_")
        found.setdefault(stem if stem and last.isdecimal() else agent, []).append(agent)
    return found


def group_map_of(
    given: MarlGroupMapType | Mapping[str, Sequence[str]] | str, agent_names: list[str]
) -> dict[str, list[str]]:
    """What ``group_map`` stands for: a map, or one of :class:`MarlGroupMapType`, which YAML gives by its name.

    Raises:
        ConfigError: there is no such name; or it is no grouping of these agents.
    """
    if isinstance(given, str):
        try:
            given = MarlGroupMapType[given.upper()]
        except KeyError:
            known = " or ".join(kind.name.lower() for kind in MarlGroupMapType)
            raise ConfigError(
                f"group_map: found {given!r}, expected {known}, or groups and their agents: {{team: [agent_0]}}"
            ) from None
    if isinstance(given, MarlGroupMapType):
        return given.get_group_map(agent_names)
    if not isinstance(given, Mapping) or any(isinstance(agents, str) for agents in given.values()):
        raise ConfigError(f"group_map: found {given!r}, expected groups and lists of their agents: {{team: [agent_0]}}")
    found = {str(group): list(agents) for group, agents in given.items()}
    check_marl_grouping(found, agent_names)
    return found


def check_marl_grouping(group_map: Mapping[str, Sequence[str]], agent_names: Sequence[str]) -> None:
    """Raise ConfigError, which is a ValueError too, unless each agent is in one group, and no group is empty.

    >>> check_marl_grouping({"team": ["a_0", "a_1"]}, ["a_0", "a_1"])
    """
    if not agent_names:
        raise ConfigError("group_map: there are no agents to group")
    if twice := [agent for agent, count in Counter(agent_names).items() if count > 1]:
        raise ConfigError(f"group_map: agent names must be unique, but several agents are called {twice[0]!r}")
    if empty := [group for group, agents in group_map.items() if not agents]:
        raise ConfigError(f"group_map: group {empty[0]!r} has no agents. Leave it out")
    grouped = Counter(agent for agents in group_map.values() for agent in agents)
    if unknown := [agent for agent in grouped if agent not in agent_names]:
        raise ConfigError(f"group_map: there is no agent {unknown[0]!r}. There are: {', '.join(agent_names)}.")
    if several := [agent for agent, count in grouped.items() if count > 1]:
        raise ConfigError(f"group_map: agent {several[0]!r} is named more than once. Name it in one group, once")
    if missing := [agent for agent in agent_names if agent not in grouped]:
        raise ConfigError(f"group_map: agent {missing[0]!r} is in no group. Put it into one")

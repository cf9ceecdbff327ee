"""The agents of a group, as rows."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import Any

import torch

from envcli.errors import EnvError
from envcli.gym.space_rows import row_reader, row_writer
from envcli.keys import DONE_FAMILY, Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.zoo.agent_group import ACTION_MASK, AgentGroup, mask_of
from envcli.zoo.play import ByAgent, Infos

__all__ = ["EndedRows", "ShownRows", "readers"]

Flag = Any  # of foreign simulators: a bool, or numpy's


class ShownRows:
    """What a group is shown, at the root or under ``next``: observations, masks and infos.

    An agent that is not there is shown zeros, or where its spec holds none the spec's own ``zero``. Who does not act
    has all choices.

    Args:
        group: whose.
        buffer: its rows.
        prefix: ``()`` or ``("next",)``.
    """

    def __init__(self, group: AgentGroup, buffer: RolloutBuffer, prefix: Key) -> None:
        spec, at = group.observation_spec, (*prefix, group.name)
        self._agents, self._masked = group.agents, "mask" in spec
        self._observations = list(_observations(group, buffer, at)) if "observation" in spec else []
        self._mask = buffer.array((*at, "mask")) if self._masked else None
        self._choices = buffer.array((*at, ACTION_MASK)) if group.has_action_mask else None
        self._infos = [(key, buffer.array((*at, "info", key))) for key in group.info_shapes]
        self._plain = self._choices is None and not self._infos

    def write(self, t: int, observations: ByAgent, infos: Infos, acting: Container[str]) -> None:
        """Row ``t``. Raises EnvError if an agent is not there, and there is no mask to say so."""
        for agent, rows, blanks in self._observations:
            if agent in observations:
                rows[t] = observations[agent]
            else:
                self._require_mask(agent, acting)
                for blank, value in blanks:
                    blank[t] = value
        if self._mask is not None:
            self._mask[t] = [agent in acting for agent in self._agents]
        if not self._plain:
            self._write_more(t, observations, infos, acting)

    def _write_more(self, t: int, observations: ByAgent, infos: Infos, acting: Container[str]) -> None:
        if self._choices is not None:
            self._choices[t] = True
            for i, agent in enumerate(self._agents):
                if agent in acting and (mask := mask_of(observations, infos, agent)) is not None:
                    self._choices[t, i] = mask
        for key, rows in self._infos:
            for i, agent in enumerate(self._agents):
                rows[t, i] = (infos.get(agent) or {}).get(key, 0)

    def _require_mask(self, agent: str, acting: Container[str]) -> None:
        if agent in acting:
            raise EnvError(f"{agent} is an acting agent, but the simulator gives it no observation. Fix the simulator")
        if not self._masked:
            raise EnvError(
                f"{agent} is absent, and nothing marks it as such. Type: backend.use_mask=true, in Python use_mask=True"
            )


class EndedRows:
    """What a step pays each agent of a group, and whose end it is.

    An agent that is not there is paid nothing, and is done, terminated and truncated, as in TorchRL.

    Args:
        group: whose.
        buffer: its rows.
    """

    def __init__(self, group: AgentGroup, buffer: RolloutBuffer) -> None:
        at = ("next", group.name)
        rewards = buffer.array((*at, "reward"))
        self._paid = [(agent, rewards[:, i, 0].data) for i, agent in enumerate(group.agents)]  # see RolloutBuffer.flags
        self._flags = [buffer.array((*at, name)) for name in DONE_FAMILY]

    def write(self, t: int, rewards: ByAgent, terminations: ByAgent, truncations: ByAgent) -> tuple[int, int, int]:
        """Row ``t``. How many are done, terminated and truncated."""
        ended = over = cut = 0
        for i, (agent, paid) in enumerate(self._paid):
            paid[t] = rewards.get(agent, 0.0)
            terminated: Flag = terminations.get(agent, True)
            truncated: Flag = truncations.get(agent, True)
            if terminated or truncated:
                for flag, value in zip(self._flags, (True, terminated, truncated), strict=True):
                    flag[t, i] = value
                ended, over, cut = ended + 1, over + bool(terminated), cut + bool(truncated)
        return ended, over, cut


def readers(group: AgentGroup, buffer: RolloutBuffer) -> dict[str, Callable[[int], Any]]:
    """Agent -> ``read(t)``, its action of row ``t`` in the simulator's own form."""
    path = (group.name, "action")
    return {
        agent: row_reader(group.acted[agent], path, _of_agent(buffer, path, i)) for i, agent in enumerate(group.agents)
    }


def _observations(
    group: AgentGroup, buffer: RolloutBuffer, at: Key
) -> Iterator[tuple[str, Any, list[tuple[Array, Array]]]]:
    """Of each agent what takes an observation, and what to write into which rows where it has none."""
    path, zeros = (*at, "observation"), _zeros(group)
    for i, agent in enumerate(group.agents):
        own = _of_agent(buffer, path, i)
        blanks = [(own.array((*at, *leaf)), zero[i]) for leaf, zero in zeros]
        yield agent, row_writer(group.spaces[agent], path, own), blanks


def _zeros(group: AgentGroup) -> list[tuple[Key, Array]]:
    leaves = group.observation_spec.leaves()
    return [(path, leaf.zero().numpy(force=True)) for path, leaf in leaves.items() if path[0] == "observation"]


def _of_agent(buffer: RolloutBuffer, path: Key, i: int) -> RolloutBuffer:
    """The rows of one agent of a group, of ``path`` and what is nested under it."""
    tensors = {full: rows[:, i] for full, rows in buffer.tensors.items() if full[: len(path)] == path}
    return RolloutBuffer(buffer.steps, torch.Size([]), tensors)

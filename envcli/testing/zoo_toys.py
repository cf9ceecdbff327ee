"""Envs of many agents that count: as PettingZoo has them, and without PettingZoo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

__all__ = ["CountingAgents", "CountingTurns"]

Space = spaces.Space[Any]  # Any: whatever the values of a space are

_CHOICES = 3


class CountingAgents:
    """Agents that act all at once, as in a ``pettingzoo.ParallelEnv``; each ends after steps of its own.

    An observation is how many steps there were, and a number that the reset has drawn; the reward is the action, and
    ``info`` holds the number of steps, as ``"steps"``, and a word. After its last step an agent is among ``agents`` no
    more.

    Args:
        limits: agent -> steps after which it is terminated; None: of ``runner_0``, ``runner_1`` and ``judge`` 3, 5, 7.
        time_limit: steps after which all are truncated; None: never.
    """

    metadata: Mapping[str, Any] = {"name": "counting", "render_fps": 10}

    def __init__(self, limits: Mapping[str, int] | None = None, time_limit: int | None = None) -> None:
        self.limits = dict(limits or {"runner_0": 3, "runner_1": 5, "judge": 7})
        self.time_limit = time_limit
        self.possible_agents = list(self.limits)
        self.agents: list[str] = []
        self.actions: list[dict[str, Any]] = []  # of each step since it was built
        self.count = self.closed = 0
        self._generator = np.random.default_rng()
        self._drawn = 0.0

    def observation_space(self, agent: str) -> Space:
        """Two numbers of at least 0."""
        return spaces.Box(0, np.inf, (2,), np.float32)

    def action_space(self, agent: str) -> Space:
        """One of three."""
        return spaces.Discrete(_CHOICES)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin at zero, with all agents."""
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        self.count, self._drawn = 0, self._generator.random()
        self.agents = list(self.possible_agents)
        return self._shown(), self._infos()

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Count. Raises AssertionError unless there is an action of each agent that is there, and of nobody else."""
        assert list(actions) == self.agents, f"actions of {list(actions)}, but there are {self.agents}"
        self.actions.append(actions)
        self.count += 1
        late = self.time_limit is not None and self.count >= self.time_limit
        over = {agent: self.count >= self.limits[agent] for agent in self.agents}
        answer = self._shown(), {a: float(actions[a]) for a in self.agents}, over, dict.fromkeys(self.agents, late)
        infos = self._infos()
        self.agents = [agent for agent in self.agents if not (late or over[agent])]
        return *answer, infos

    def state(self) -> Any:
        """The number of steps, and of the agents that are left."""
        return np.array([self.count, len(self.agents)], np.int64)

    def render(self) -> Any:
        """A gray frame, lighter with each step."""
        return np.full((8, 12, 3), min(self.count, 255), np.uint8)

    def close(self) -> None:
        """Count that too."""
        self.closed += 1

    def __str__(self) -> str:
        return "counting"

    def _shown(self) -> dict[str, Any]:
        return {agent: np.array([self.count, self._drawn], np.float32) for agent in self.agents}

    def _infos(self) -> dict[str, Any]:
        return {agent: {"steps": self.count, "word": "none"} for agent in self.agents}


class CountingTurns:
    """Agents that act in turns, as in a ``pettingzoo.AECEnv``; each ends after turns of its own.

    An observation is how many turns the agent has had, and a number that the reset has drawn, with an action mask that
    forbids one choice, another in each turn, and everything to those whose turn it is not. The reward of whoever has
    acted is the action. An agent that has ended passes, by ``step(None)``, and is among ``agents`` no more.

    Args:
        limits: agent -> turns after which it is terminated; None: of ``left`` and ``right`` 3 and 4.
    """

    metadata: Mapping[str, Any] = {"name": "turns"}

    def __init__(self, limits: Mapping[str, int] | None = None) -> None:
        self.limits = dict(limits or {"left": 3, "right": 4})
        self.possible_agents = list(self.limits)
        self.agents: list[str] = []
        self.actions: list[tuple[str, Any]] = []  # who did what, since it was built
        self._generator = np.random.default_rng()

    def observation_space(self, agent: str) -> Space:
        """Two numbers of at least 0, and the mask."""
        numbers, mask = spaces.Box(0, np.inf, (2,), np.float32), spaces.Box(0, 1, (_CHOICES,), np.int8)
        return spaces.Dict({"numbers": numbers, "action_mask": mask})

    def action_space(self, agent: str) -> Space:
        """One of three."""
        return spaces.Discrete(_CHOICES)

    def agent_iter(self) -> Iterator[str]:
        """Whose turn it is, until nobody is left."""
        while self.agents:
            yield self.agent_selection

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin with all agents; the first is the first to act."""
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        self._drawn = self._generator.random()
        self.agents = list(self.possible_agents)
        self.turns = dict.fromkeys(self.agents, 0)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self.agent_selection = self.agents[0]

    def observe(self, agent: str) -> Any:
        """What ``agent`` is shown."""
        mask = np.zeros(_CHOICES, np.int8)
        if agent == self.agent_selection:
            mask[:] = np.arange(_CHOICES) != self.turns[agent] % _CHOICES
        return {"numbers": np.array([self.turns[agent], self._drawn], np.float32), "action_mask": mask}

    def step(self, action: Any) -> None:
        """Count. Raises AssertionError for an action that the mask forbids, or of one who must pass."""
        agent, place = self.agent_selection, self.agents.index(self.agent_selection)
        self.actions.append((agent, action))
        self.rewards = dict.fromkeys(self.agents, 0.0)
        if self.terminations[agent]:
            assert action is None, f"{agent} must pass, and did {action}"
            self.agents.remove(agent)
            for kept in (self.rewards, self.terminations, self.truncations, self.infos):
                del kept[agent]
            place -= 1
        else:
            assert self.observe(agent)["action_mask"][action], f"{agent} may not do {action}"
            self.turns[agent] += 1
            self.rewards[agent] = float(action)
            self.terminations[agent] = self.turns[agent] >= self.limits[agent]
        if self.agents:
            self.agent_selection = self.agents[(place + 1) % len(self.agents)]

    def close(self) -> None:
        """Nothing is kept open."""

    def __str__(self) -> str:
        return "turns"
